// Package archtest holds the project to its own layout: which package may import
// which, how long files and functions may be, and what must be documented. Its
// tests are the rules; this file is the table of packages.
//
// It belongs to the project's frame, serves tests only and imports only the
// standard library.
package archtest

// Module is the path of this module.
const Module = "github.com/morango-go/morango"

// The layers. A package may import those of lower layers freely; of its own layer
// only what its row in the table names.
const (
	layerWords   = 1 // pure values
	layerTables  = 2 // one package a group of tables
	layerStages  = 3 // the way of a row
	layerNetwork = 4 // between peers
	layerFacade  = 5 // the root package
	layerProgram = 6 // the command line
	layerFrame   = 7 // serves the project or its tests; nothing else imports it
)

// row is a package's place in the layout.
type row struct {
	layer int
	peers []string // packages of the same layer that it may import
	// Exceptions to what its layer may import of the standard library.
	std []string
}

// table lists every package of the module by its path within it; "" is the root.
var table = map[string]row{
	"ident":     {layer: layerWords, std: []string{"os", "os/exec", "net"}}, // the machine's own identity
	"partition": {layer: layerWords},
	"counter":   {layer: layerWords, peers: []string{"ident", "partition"}},
	"model":     {layer: layerWords, peers: []string{"ident"}, std: []string{"os"}}, // profile files
	"cert":      {layer: layerWords, peers: []string{"ident", "partition", "model"}},
	"record":    {layer: layerWords, peers: []string{"ident", "partition", "counter", "model"}},

	"db":             {layer: layerTables, peers: []string{"db/sqlite", "db/postgres", "db/transaction"}},
	"db/sqlite":      {layer: layerTables, peers: []string{"db/transaction", "db/sqlite/host"}},
	"db/sqlite/host": {layer: layerTables, std: []string{"unsafe"}}, // SQLite's memory is not Go's
	"db/postgres":    {layer: layerTables, peers: []string{"db/transaction"}},
	"db/transaction": {layer: layerTables},
	"store":          {layer: layerTables, peers: []string{"db"}},
	"store/lacking":  {layer: layerTables, peers: []string{"db", "store"}},
	"buffer":         {layer: layerTables, peers: []string{"db"}},
	"session":        {layer: layerTables, peers: []string{"db"}},
	"app":            {layer: layerTables, peers: []string{"db"}},

	"stage":             {layer: layerStages},
	"stage/serialize":   {layer: layerStages, peers: []string{"stage"}},
	"stage/queue":       {layer: layerStages, peers: []string{"stage"}},
	"stage/transfer":    {layer: layerStages, peers: []string{"stage"}},
	"stage/dequeue":     {layer: layerStages, peers: []string{"stage"}},
	"stage/resolve":     {layer: layerStages, peers: []string{"stage"}},
	"stage/stream":      {layer: layerStages, peers: []string{"stage"}},
	"stage/deserialize": {layer: layerStages, peers: []string{"stage"}},

	"verify": {layer: layerStages},

	"wire":            {layer: layerNetwork},
	"engine":          {layer: layerNetwork, peers: []string{"wire"}},
	"client":          {layer: layerNetwork, peers: []string{"wire", "engine"}},
	"server":          {layer: layerNetwork, peers: []string{"wire", "engine"}},
	"server/userfile": {layer: layerNetwork, peers: []string{"server"}},

	"": {layer: layerFacade},

	"cmd/morango":   {layer: layerProgram, peers: []string{"internal/heap"}, std: []string{"database/sql"}}, // the demo plays the application
	"internal/heap": {layer: layerProgram},

	"db/dbtest":                     {layer: layerFrame, peers: []string{"internal/conformance"}}, // what Django made
	"internal/archtest":             {layer: layerFrame},
	"internal/bench":                {layer: layerFrame, std: []string{"net", "net/http", "log/slog"}}, // serves peers and shapes their links
	"internal/conformance":          {layer: layerFrame},
	"internal/conformance/tables":   {layer: layerFrame},
	"internal/conformance/recorded": {layer: layerFrame},
	"internal/hostile":              {layer: layerFrame},
	"internal/crashtest":            {layer: layerFrame},
	"internal/simtest":              {layer: layerFrame},
	"internal/testreport":           {layer: layerFrame},
}

// barred are the packages of the standard library that need a reason: which
// layers may use them.
var barred = map[string][]int{
	"os":           {layerTables, layerNetwork, layerFacade, layerProgram, layerFrame},
	"os/exec":      {layerFrame},
	"net":          {layerNetwork, layerFacade, layerProgram},
	"net/http":     {layerNetwork, layerFacade, layerProgram},
	"database/sql": {layerTables, layerStages, layerFacade, layerFrame},
	"log":          {},
	"log/slog":     {layerNetwork, layerFacade, layerProgram},
	"unsafe":       {},
	"reflect":      {layerWords}, // profiles from structs
	"math/rand":    {},           // identifiers and keys come from crypto/rand, through Config
}

// Sizes of source files, tests included.
const (
	maxFileLines     = 500
	maxFunctionLines = 60
)
