package ident

// Instance returns the instance id of a database on a machine. systemID and nodeID
// are hashed already (see Local) or empty.
func Instance(databaseID, systemID, nodeID string) string { return Hash(databaseID, systemID, nodeID) }

// Proquint returns the spoken form of a number.
func Proquint(n uint64) string { panic("not written") }

// InstanceHash returns the spoken form of an instance id's first 8 digits, by
// which people tell peers apart.
func InstanceHash(instanceID string) string { panic("not written") }

// Sources is where the identity of this machine is read from.
type Sources struct {
	// Getenv reads an environment variable; "" when unset.
	Getenv func(name string) string
}

// Local returns the hashed system id and node id of this machine.
func Local(s Sources) (systemID, nodeID string) { panic("not written") }
