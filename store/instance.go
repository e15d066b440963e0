package store

// Machine is what the caller knows of the machine and database file that the
// engine runs on; it goes into the instance row and the instance JSON.
type Machine struct {
	SystemID, NodeID   string // hashed, as in the instance id
	Platform, Hostname string
	SysVersion         string
	DBPath             string // without secrets
}
