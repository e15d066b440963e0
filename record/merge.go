package record

// Relation says how a version of a record stands to another of the same record.
type Relation int

// The relations of theirs to mine.
const (
	Same     Relation = iota // one and the same version
	Older                    // mine has seen theirs
	Newer                    // theirs has seen mine
	Conflict                 // neither has seen the other
)

// Compare returns how theirs stands to mine.
func Compare(mine, theirs Record) Relation { panic("not written") }
