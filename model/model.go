// Package model describes what is synced: a profile and its models, with tables,
// columns, foreign keys, and the rules by which a row gets its partition, source
// id and id. A profile is read from a YAML file or built from Go structs; both
// end in the same value.
//
// It belongs to the words layer: pure values, no I/O. It imports ident and
// partition. On a row's path it is the plan that every stage follows.
package model

// Profile is a named set of models that make sense together.
// Models stand in dependency order: a model comes after those it refers to.
type Profile struct {
	Name         string
	Models       []*Model
	Scopes       []ScopeDefinition
	Capture      Capture
	InstanceInfo map[string]string // extra keys a peer shows of itself in morangoinfo and instance JSON
}

// Capture says who sets the dirty bits and records deletions.
type Capture string

// The two ways of capturing changes.
const (
	CaptureTriggers    Capture = "triggers"    // MoranGo's triggers; the default
	CaptureApplication Capture = "application" // the application itself, as Django does
)

// ScopeDefinition is a named pair of filter templates that certificates fill in.
// Templates are newline-delimited prefixes with ${param} holes.
type ScopeDefinition struct {
	ID                string
	Profile           string
	Version           int
	PrimaryScopeParam string // parameter that equals the root certificate's id; "" when none
	Description       string
	ReadTemplate      string
	WriteTemplate     string
	ReadWriteTemplate string
}

// Model is one syncable kind of record.
type Model struct {
	Name    string   // morango model name, part of every id
	Table   string   // application table
	Columns []Column // all serialized and unserialized columns in table order, with id and the two serialized Morango columns, without _morango_dirty_bit
	Where   []Equal  // discriminator of a shared table; empty when the table is the model's own
	After   []string // models that must come first though no foreign key says so
	Source  SourceRule
	// Partition rules in order; the first whose condition holds applies.
	Partition  []PartitionRule
	IDIsSource bool      // the id is the source id itself, not a hash
	Merge      MergeRule // what becomes of two versions that do not know each other
}

// Equal is one condition column = value of a discriminator.
type Equal struct{ Column, Value string }

// PartitionRule is a partition template such as "${dataset_id}:user-rw:${user_id}".
// It applies where the column WhenNull is null, or always when WhenNull is "".
type PartitionRule struct {
	WhenNull string
	Template string
}

// SourceKind says how a row's source id is made.
type SourceKind string

// The source-id rules.
const (
	SourceRandom          SourceKind = "random"           // a fresh random id
	SourceTemplate        SourceKind = "template"         // Text is a template over columns
	SourceColumn          SourceKind = "column"           // Text is the column
	SourceUUID5           SourceKind = "uuid5"            // Text is the column, Namespace the UUID namespace
	SourceRootCertificate SourceKind = "root_certificate" // id of a new root certificate; Text is the scope definition
)

// SourceRule makes a row's source id. The zero value is not valid.
type SourceRule struct {
	Kind      SourceKind
	Text      string
	Namespace string
}

// Type is a column's type: how it stands in the table and in the JSON.
type Type string

// The column types. JSON forms in parentheses.
const (
	UUID       Type = "uuid"        // 32 hex digits (same, or null)
	DashedUUID Type = "uuid-dashed" // 32 hex digits in the table (36 characters with dashes)
	Text       Type = "text"        // Length bounds it when > 0 (string)
	Integer    Type = "integer"     // 32 bits (number)
	SmallInt   Type = "smallint"    // 16 bits (number)
	BigInt     Type = "bigint"      // 64 bits (number)
	Float      Type = "float"       // (number; integral values keep ".0")
	Decimal    Type = "decimal"     // exact decimal as text (string)
	Boolean    Type = "boolean"     // (true or false)
	DateTime   Type = "datetime"    // UTC (ISO 8601, milliseconds, "Z")
	DateTimeTZ Type = "datetime-tz" // text "YYYY-MM-DD HH:MM:SS.ffffff(zone)" (that same text)
	Date       Type = "date"        // (YYYY-MM-DD)
	Time       Type = "time"        // (HH:MM:SS[.mmm])
	JSON       Type = "json"        // JSON text in the table (a STRING that holds JSON text; null is "null")
)

// Column is one column of a model's table.
type Column struct {
	Name       string
	Type       Type
	Length     int // greatest number of characters of Text; 0 is unbounded
	Nullable   bool
	Default    *Default // nil: the column must be there when a record arrives, or is null when Nullable
	Unique     bool
	Local      bool // never serialized
	References *Reference
	Check      Constraint
}

// Default is what a column gets when an arriving record lacks it.
// Exactly one of the fields is meant: Now, Random, else Value.
type Default struct {
	Value  any // nil, string, bool, int64 or float64
	Now    bool
	Random bool // a fresh random id
	// WhenEmpty applies the default also to an empty string or null that arrives.
	WhenEmpty bool
}

// Reference is a foreign key to the id of another model, or of the same (a tree).
// Deleting the target deletes the row.
type Reference struct {
	Model string
	// Table is the target's table; Validate fills it in. Where several models
	// share it, the target may be a row of any of them.
	Table string
}

// Constraint is checked when a record arrives. The zero value checks nothing.
type Constraint struct {
	Choices   []string
	Min, Max  *float64
	MinLength int
	Pattern   string // RE2 that the whole text must match
}
