package model

import (
	"math"
	"regexp"
	"slices"
	"strconv"
)

// types are the column types there are, in the order of their declaration.
func types() []Type {
	return []Type{
		UUID, DashedUUID, Text, Integer, SmallInt, BigInt, Float, Decimal, Boolean,
		DateTime, DateTimeTZ, Date, Time, JSON,
	}
}

// isNumber tells whether the type travels as a JSON number.
func (t Type) isNumber() bool {
	return t == Integer || t == SmallInt || t == BigInt || t == Float
}

// check checks one column of m.
func (c *Column) check(m *Model, f *findings) {
	at := func(key string) place { return place{model: m, column: c.Name, key: key} }
	if !slices.Contains(types(), c.Type) {
		f.add(at("type"), "unknown type %q; it is one of %v", c.Type, types())
		return
	}
	switch c.Name {
	case ColumnDirty:
		f.add(at("name"), "must not be listed: it never travels")
	case ColumnID, ColumnSourceID, ColumnPartition:
		c.checkMorango(f, at)
	}
	if c.Length < 0 || (c.Length > 0 && c.Type != Text) {
		f.add(at("length"), "a length is a positive number, and only for type text")
	}
	if c.References != nil && c.Type != UUID {
		f.add(at("references"), "a foreign key must be of type uuid, as the ids it refers to")
	}
	if c.Local && c.Default == nil && !c.Nullable {
		f.add(at("local"), "a column that does not travel must be nullable or have a default")
	}
	if c.Local && c.References != nil {
		f.add(at("local"), "a foreign key must travel")
	}
	c.checkDefault(f, at("default"))
	c.checkConstraint(f, at)
}

// checkMorango checks a column whose form is not the profile's to choose.
func (c *Column) checkMorango(f *findings, at func(string) place) {
	want := Text
	if c.Name == ColumnID {
		want = UUID
	}
	if c.Type != want {
		f.add(at("type"), "must be of type %s", want)
	}
	if c.Nullable || c.Local || c.References != nil || c.Default != nil {
		f.add(at("name"), "may only be listed to fix its place: not nullable, not local, no default, no reference")
	}
}

// checkDefault checks that a default fits the column, and gives a number the Go
// type of the column.
func (c *Column) checkDefault(f *findings, at place) {
	d := c.Default
	if d == nil {
		return
	}
	if d.Now && d.Random || (d.Now || d.Random) && d.Value != nil {
		f.add(at, "more than one default; keep one of now, random and value")
		return
	}
	if d.Now && !slices.Contains([]Type{DateTime, DateTimeTZ, Date, Time}, c.Type) {
		f.add(at, "now is no value of type %s", c.Type)
	}
	if d.Random && c.Type != UUID && c.Type != DashedUUID {
		f.add(at, "a random id is no value of type %s", c.Type)
	}
	if d.Now || d.Random {
		return
	}
	if n, ok := d.Value.(int64); ok && c.Type == Float {
		d.Value = float64(n)
	}
	if !c.holds(d.Value) {
		f.add(at, "%#v is no value of type %s", d.Value, c.Type)
	}
}

// holds tells whether a default value, nil, string, bool, int64 or float64,
// can stand in the column. The spelling inside a text is checked where it is
// written, when a record arrives.
func (c *Column) holds(value any) bool {
	switch v := value.(type) {
	case nil:
		return c.Nullable || c.Type == JSON
	case string:
		return !c.Type.isNumber() && c.Type != Boolean
	case bool:
		return c.Type == Boolean
	case float64:
		return c.Type == Float && !math.IsInf(v, 0) && !math.IsNaN(v)
	case int64:
		bits, ok := map[Type]int{SmallInt: 16, Integer: 32, BigInt: 64}[c.Type]
		return ok && v>>(bits-1) == v>>63
	default:
		return false
	}
}

// checkConstraint checks that the constraint makes sense for the type.
func (c *Column) checkConstraint(f *findings, at func(string) place) {
	k := c.Check
	if (k.Min != nil || k.Max != nil) && !c.Type.isNumber() {
		f.add(at("min"), "min and max are only for numbers")
	}
	for _, bound := range []*float64{k.Min, k.Max} {
		if bound != nil && (math.IsNaN(*bound) || math.IsInf(*bound, 0)) {
			f.add(at("min"), "a bound must be a finite number")
		}
	}
	if k.Min != nil && k.Max != nil && *k.Min > *k.Max {
		f.add(at("min"), "min is greater than max, so no value fits")
	}
	if k.MinLength < 0 || (c.Length > 0 && k.MinLength > c.Length) {
		f.add(at("min-length"), "no text of at least %d characters fits", k.MinLength)
	}
	if (k.MinLength != 0 || k.Pattern != "") && c.Type != Text {
		f.add(at("pattern"), "min-length and pattern are only for type text")
	}
	if _, err := regexp.Compile(`\A(?:` + k.Pattern + `)\z`); err != nil {
		f.add(at("pattern"), "the pattern is no RE2 expression: %v", err)
	}
	if len(k.Choices) > 0 && c.Type != Text && !c.Type.isNumber() {
		f.add(at("choices"), "choices are only for texts and whole numbers")
	}
	for _, choice := range k.Choices {
		if _, err := strconv.ParseInt(choice, 10, 64); err != nil && c.Type.isNumber() {
			f.add(at("choices"), "%q is no whole number", choice)
		}
	}
}
