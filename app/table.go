package app

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// table is one table of the application with the models that live in it: one, or
// several that a discriminator tells apart.
type table struct {
	name    string
	models  []*model.Model
	columns []tableColumn
	plain   bool // columns have no defaults in the database: the application is Django's kind
}

// tableColumn is a column of a table, as all its models together need it.
type tableColumn struct {
	model.Column
	References string // table that a foreign key points at; "" when none
}

// tablesOf groups the models of a profile by table, in dependency order.
func tablesOf(p *model.Profile) []*table {
	var tables []*table
	for _, m := range p.Models {
		i := slices.IndexFunc(tables, func(t *table) bool { return t.name == m.Table })
		if i < 0 {
			i = len(tables)
			tables = append(tables, &table{name: m.Table})
		}
		tables[i].models = append(tables[i].models, m)
	}
	for _, t := range tables {
		t.uniteColumns(p)
	}
	return tables
}

// uniteColumns makes the table's columns from its models'. A column that one of
// them lacks may be null, for that one leaves it out.
func (t *table) uniteColumns(p *model.Profile) {
	for _, m := range t.models {
		for _, c := range m.Columns {
			i := slices.IndexFunc(t.columns, func(have tableColumn) bool { return have.Name == c.Name })
			if i < 0 {
				i = len(t.columns)
				t.columns = append(t.columns, tableColumn{Column: c})
			}
			have := &t.columns[i]
			have.Nullable = have.Nullable || c.Nullable
			have.Unique = have.Unique || c.Unique
			have.Local = have.Local && c.Local
			if c.References != nil {
				if target, ok := p.Model(c.References.Model); ok {
					have.References = target.Table
				}
			}
		}
	}
	for i := range t.columns {
		c := &t.columns[i]
		for _, m := range t.models {
			if _, ok := m.Column(c.Name); !ok {
				c.Nullable = true
			}
		}
	}
}

// matches is a condition that a row, named by an alias such as OLD, belongs to one
// of the table's models. It is never null.
func (t *table) matches(kind db.Kind, row string) string {
	same := "IS"
	if kind == db.Postgres {
		same = "IS NOT DISTINCT FROM"
	}
	var any []string
	for _, m := range t.models {
		if len(m.Where) == 0 {
			return "TRUE"
		}
		var all []string
		for _, w := range m.Where {
			all = append(all, fmt.Sprintf("%s.%s %s %s", row, db.Quote(w.Column), same, literal(w.Value)))
		}
		any = append(any, strings.Join(all, " AND "))
	}
	return "(" + strings.Join(any, " OR ") + ")"
}

// discriminators are the columns by which the table's models are told apart.
func (t *table) discriminators() []string {
	var columns []string
	for _, m := range t.models {
		for _, w := range m.Where {
			if !slices.Contains(columns, w.Column) {
				columns = append(columns, w.Column)
			}
		}
	}
	return columns
}

// morangoColumns are the three columns that make a table syncable.
var morangoColumns = []string{model.ColumnDirty, model.ColumnSourceID, model.ColumnPartition}

// morangoColumn is the definition of one of the Morango columns; a plain one has no
// default.
func morangoColumn(kind db.Kind, name string, plain bool) string {
	definition, value := "bool NOT NULL", "1"
	switch {
	case name == model.ColumnSourceID:
		definition, value = "varchar(96) NOT NULL", "''"
	case name == model.ColumnPartition:
		definition, value = "varchar(128) NOT NULL", "''"
	case kind == db.Postgres:
		definition, value = "boolean NOT NULL", "TRUE"
	}
	if plain {
		return definition
	}
	return definition + " DEFAULT " + value
}

// columnTypes are the types as Django declares them, on SQLite and on PostgreSQL.
// A decimal is text on SQLite, where Django's "decimal" would make a float of it.
var columnTypes = map[model.Type][2]string{
	model.UUID:       {"char(32)", "uuid"},
	model.DashedUUID: {"char(32)", "uuid"},
	model.Text:       {"text", "text"},
	model.Integer:    {"integer", "integer"},
	model.SmallInt:   {"smallint", "smallint"},
	model.BigInt:     {"bigint", "bigint"},
	model.Float:      {"real", "double precision"},
	model.Decimal:    {"text", "numeric"},
	model.Boolean:    {"bool", "boolean"},
	model.DateTime:   {"datetime", "timestamp with time zone"},
	model.DateTimeTZ: {"varchar", "varchar"},
	model.Date:       {"date", "date"},
	model.Time:       {"time", "time"},
	model.JSON:       {"text", "text"},
}

func columnType(kind db.Kind, c model.Column) (string, error) {
	types, ok := columnTypes[c.Type]
	if !ok {
		return "", fmt.Errorf("unknown type %q", c.Type)
	}
	if c.Type == model.Text && c.Length > 0 {
		return fmt.Sprintf("varchar(%d)", c.Length), nil
	}
	if kind == db.Postgres {
		return types[1], nil
	}
	return types[0], nil
}

// columnDefault is the DEFAULT clause of a column whose default is a plain value,
// so that other programs may leave it out; else "".
func columnDefault(kind db.Kind, c model.Column) string {
	if c.Default == nil || c.Default.Now || c.Default.Random {
		return ""
	}
	switch v := c.Default.Value.(type) {
	case string:
		return " DEFAULT " + literal(v)
	case bool:
		if kind == db.Postgres {
			return " DEFAULT " + strconv.FormatBool(v)
		}
		return map[bool]string{false: " DEFAULT 0", true: " DEFAULT 1"}[v]
	case int64:
		return " DEFAULT " + strconv.FormatInt(v, 10)
	case float64:
		return " DEFAULT " + strconv.FormatFloat(v, 'g', -1, 64)
	}
	return ""
}

// literal writes a text into SQL, for definitions, where parameters are not
// allowed.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// maxName is how many bytes of a name PostgreSQL keeps.
const maxName = 63

// shorten cuts a name to a length in bytes such that different names stay
// different.
func shorten(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return strings.ToValidUTF8(name[:limit-9], "") + "_" + hex.EncodeToString(sum[:4])
}
