package verify

// Kind names what can be wrong.
type Kind string

// What a check of one database finds.
const (
	File            Kind = "file"             // the database engine finds its own file damaged
	TwoIdentities   Kind = "two-identities"   // more than one database id or instance is in use
	RecordID        Kind = "record-id"        // a record's id is not the hash of what it is made of
	HardDeletedText Kind = "hard-deleted"     // text is left of a record that is deleted hard
	NoVersion       Kind = "no-version"       // a record's own version is not in its record max counters
	NoRecord        Kind = "no-record"        // record max counters without a record
	CounterBehind   Kind = "counter-behind"   // records are saved under counters that this database has yet to reach
	ClaimAhead      Kind = "claim-ahead"      // a claim about an own instance above its counter
	ClaimNoise      Kind = "claim-noise"      // a claim that a wider one includes
	PartitionDigest Kind = "partition-digest" // what is kept of a partition's records is not what they are
	RowMissing      Kind = "row-missing"      // a record is applied, and the table has no row
	RowUnknown      Kind = "row-unknown"      // a row counts as serialized, and the store has no record
	RowDeleted      Kind = "row-deleted"      // a row is there whose record is deleted
	RowDiffers      Kind = "row-differs"      // a row and its record say different things
	RowUnreadable   Kind = "row-unreadable"   // a row holds what its column's type cannot
	TextUnreadable  Kind = "text-unreadable"  // an applied record's text is no JSON object
	Reference       Kind = "reference"        // a record refers to one that the store has not got
	Certificate     Kind = "certificate"      // a certificate does not hold
	CertificateKey  Kind = "certificate-key"  // a private key is not that of its certificate
	CertificateTree Kind = "certificate-tree" // the columns by which Django finds ancestors are wrong
	BufferOrphan    Kind = "buffer-orphan"    // a buffer that no open transfer session has
	TransferOrphan  Kind = "transfer-orphan"  // a transfer session without its sync session
)

// Kinds returns all kinds, in the order in which they are told.
func Kinds() []Kind {
	return []Kind{
		File, TwoIdentities, RecordID, HardDeletedText, NoVersion, NoRecord, CounterBehind, ClaimAhead,
		PartitionDigest,
		RowMissing, RowUnknown, RowDeleted, RowDiffers, RowUnreadable, TextUnreadable, Reference,
		Certificate, CertificateKey, CertificateTree, BufferOrphan, TransferOrphan, ClaimNoise,
	}
}

// about says what to do about a kind.
type about struct {
	remedy   string
	harmless bool
}

const (
	byRepair = "morango repair"
	byTrust  = "morango repair --trust application, or store"
)

func kinds() map[Kind]about {
	return map[Kind]about{
		File:            {remedy: "restore a backup, or sync into a new database"},
		TwoIdentities:   {remedy: "morango identity --renew"},
		RecordID:        {remedy: "mend the row where it comes from: it travels no further"},
		HardDeletedText: {remedy: byRepair},
		NoVersion:       {remedy: byRepair},
		NoRecord:        {remedy: byRepair + ", then sync: peers send it again"},
		CounterBehind:   {remedy: byRepair + ": it gives the database a new identity"},
		ClaimAhead:      {remedy: byRepair},
		ClaimNoise:      {remedy: "none needed; morango repair clears it", harmless: true},
		PartitionDigest: {remedy: "compare with a peer by morango verify URL; " + byRepair + " sums them up again"},
		RowMissing:      {remedy: byRepair + " writes it again"},
		RowUnknown:      {remedy: byTrust},
		RowDeleted:      {remedy: byTrust},
		RowDiffers:      {remedy: byTrust},
		RowUnreadable:   {remedy: "correct the row in the application"},
		TextUnreadable:  {remedy: byTrust},
		Reference:       {remedy: "sync with a peer that has it, or correct the row"},
		Certificate:     {remedy: "get a new certificate (morango sync --user)"},
		CertificateKey:  {remedy: "get a new certificate (morango sync --user)"},
		CertificateTree: {remedy: byRepair},
		BufferOrphan:    {remedy: byRepair},
		TransferOrphan:  {remedy: byRepair},
	}
}
