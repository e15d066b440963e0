package model

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Row, embedded in a struct, makes the struct a model of FromStructs and carries
// the model's own options in its tag.
type Row struct{}

// FromStructs builds a profile from Go structs, or pointers to them. The result is valid and in
// dependency order; capture is by triggers. Each struct embeds Row, and
// every field that is a column has a tag; fields without one are no columns,
// fields of other embedded structs count as the struct's own.
//
//	type User struct {
//		model.Row `morango:"user; table=app_user; source=random; partition=${id}:user"`
//		ID        string     `morango:"id"`
//		Username  string     `morango:"username; length=20; unique"`
//		LastLogin *time.Time `morango:"last_login"`
//		ClassID   *string    `morango:"class_id; references=class"`
//	}
//
// A tag is a name and options, separated by ";", which therefore cannot stand in
// a value. The options of a model are those of the YAML form:
//
//	table=T                         the model's name when left out
//	source=random | column:C | template:T | uuid5:C:NAMESPACE | root-certificate:SCOPE
//	id=source                       the id is the source id, not a hash
//	partition=T                     the template
//	partition-when-null=C:T         another one where column C is null; may be repeated
//	where=C:VALUE                   discriminator of a shared table; may be repeated
//	after=MODEL                     may be repeated
//	merge=reference | newest:C | fields:C | custom
//
// The options of a column:
//
//	type=T                          else by the field: string text (uuid for id and references), bool boolean,
//	                                int16 smallint, int32 integer, int and int64 bigint, floats float,
//	                                time.Time datetime, json.RawMessage json
//	nullable                        set for pointers
//	length=N  unique  local  references=MODEL
//	default=VALUE  default-now  default-random  when-empty
//	choices=A|B  min=X  max=X  min-length=N  pattern=RE2
func FromStructs(name string, scopes []ScopeDefinition, structs ...any) (*Profile, error) {
	f := newFindings("profile " + name)
	p := &Profile{Name: name, Scopes: slices.Clone(scopes)}
	for _, s := range structs {
		t := reflect.TypeOf(s)
		for t != nil && t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t == nil || t.Kind() != reflect.Struct {
			f.add(place{}, "a model is a struct or a pointer to one, not %T", s)
			continue
		}
		m := &Model{}
		f.at[place{model: m}] = t.String()
		if !m.readStruct(f, t) {
			f.add(place{model: m}, "%s embeds no model.Row with a tag `morango:\"name; options\"`", t)
		}
		p.Models = append(p.Models, m)
	}
	if err := f.err(); err != nil {
		return nil, err // validation would only find its consequences
	}
	p.validate(f)
	if err := f.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// readStruct reads a struct's tags, and tells whether it saw that of Row.
func (m *Model) readStruct(f *findings, t reflect.Type) bool {
	found := false
	for i := range t.NumField() {
		field := t.Field(i)
		tag, tagged := field.Tag.Lookup("morango")
		switch {
		case field.Type == reflect.TypeFor[Row]():
			if tagged {
				found = true
				m.readTag(f, tag)
			}
		case tagged:
			m.Columns = append(m.Columns, m.columnOf(f, field, tag))
		case field.Anonymous && field.Type.Kind() == reflect.Struct:
			found = m.readStruct(f, field.Type) || found
		}
	}
	return found
}

// options cuts a tag into the name and its options, each with its value.
func options(tag string) (name string, opts [][2]string) {
	name, rest, _ := strings.Cut(tag, ";")
	for option := range strings.SplitSeq(rest, ";") {
		if key, value, _ := strings.Cut(option, "="); strings.TrimSpace(key) != "" {
			opts = append(opts, [2]string{strings.TrimSpace(key), strings.TrimSpace(value)})
		}
	}
	return strings.TrimSpace(name), opts
}

// readTag reads the tag of Row.
func (m *Model) readTag(f *findings, tag string) {
	name, opts := options(tag)
	m.Name, m.Table = name, name
	at := place{model: m}
	var always []PartitionRule
	for _, option := range opts {
		key, value := option[0], option[1]
		first, second, both := strings.Cut(value, ":")
		if (key == "partition-when-null" || key == "where") && !both {
			f.add(at, "%s needs a column and a value, as in %s=column:value", key, key)
		}
		switch key {
		case "table":
			m.Table = value
		case "source":
			m.Source = sourceOf(value)
		case "id":
			m.IDIsSource = value == "source"
			if value != "source" && value != "hash" {
				f.add(at, "unknown rule %q for ids; it is \"hash\" or \"source\"", value)
			}
		case "partition":
			always = append(always, PartitionRule{Template: value})
		case "partition-when-null":
			m.Partition = append(m.Partition, PartitionRule{WhenNull: first, Template: second})
		case "where":
			m.Where = append(m.Where, Equal{Column: first, Value: second})
		case "after":
			m.After = append(m.After, value)
		case "merge":
			m.Merge = mergeOf(value)
		default:
			f.add(at, "unknown option %q in the tag of Row", key)
		}
	}
	m.Partition = append(m.Partition, always...)
}

// sourceOf reads the value of the option source; what it is not is left to
// validation, which knows the model.
func sourceOf(value string) SourceRule {
	kind, text, _ := strings.Cut(value, ":")
	if kind == "root-certificate" {
		return SourceRule{Kind: SourceRootCertificate, Text: text}
	}
	rule := SourceRule{Kind: SourceKind(kind), Text: text}
	if rule.Kind == SourceUUID5 {
		rule.Text, rule.Namespace, _ = strings.Cut(text, ":")
	}
	return rule
}

// columnOf reads the tag of one field.
func (m *Model) columnOf(f *findings, field reflect.StructField, tag string) Column {
	name, opts := options(tag)
	c := Column{Name: name}
	at := place{model: m, column: name}
	f.at[at] = f.where(place{model: m}) + "." + field.Name
	goType := field.Type
	if goType.Kind() == reflect.Pointer {
		c.Nullable, goType = true, goType.Elem()
	}
	for _, option := range opts {
		if err := c.option(option[0], option[1]); err != "" {
			f.add(at, "option %s: %s", option[0], err)
		}
	}
	if c.Type == "" {
		c.Type = typeOf(goType, c)
	}
	if c.Type == "" {
		f.add(at, "a field of type %s needs the option type=...", field.Type)
	}
	if c.Default != nil {
		if text, ok := c.Default.Value.(string); ok {
			c.Default.Value = valueOf(c.Type, text)
		}
	}
	return c
}

// typeOf gives the column type of a field by its Go type, "" when there is none.
func typeOf(t reflect.Type, c Column) Type {
	switch t {
	case reflect.TypeFor[time.Time]():
		return DateTime
	case reflect.TypeFor[json.RawMessage]():
		return JSON
	}
	if t.Kind() == reflect.String && (c.Name == ColumnID || c.References != nil) {
		return UUID
	}
	return map[reflect.Kind]Type{
		reflect.String: Text, reflect.Bool: Boolean,
		reflect.Int16: SmallInt, reflect.Int32: Integer, reflect.Int64: BigInt, reflect.Int: BigInt,
		reflect.Float32: Float, reflect.Float64: Float,
	}[t.Kind()]
}

// valueOf reads a default as a value of the type; a text that is none stays
// text, for validation to refuse.
func valueOf(t Type, text string) any {
	switch {
	case t == Boolean:
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	case t == Float:
		if x, err := strconv.ParseFloat(text, 64); err == nil {
			return x
		}
	case t.isNumber():
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	}
	return text
}

// option applies one option of a column's tag and says what is wrong with it.
func (c *Column) option(key, value string) (problem string) {
	number := func(into **float64) string {
		x, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return "expected a number"
		}
		*into = &x
		return ""
	}
	whole := func(into *int) string {
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return "expected a whole number of 32 bits"
		}
		*into = int(n)
		return ""
	}
	flags := map[string]*bool{"nullable": &c.Nullable, "unique": &c.Unique, "local": &c.Local}
	if flag, ok := flags[key]; ok {
		*flag = true
		return ""
	}
	if strings.HasPrefix(key, "default") || key == "when-empty" {
		return c.defaultOption(key, value)
	}
	switch key {
	case "type":
		c.Type = Type(value)
	case "references":
		c.References = &Reference{Model: value}
	case "choices":
		c.Check.Choices = strings.Split(value, "|")
	case "pattern":
		c.Check.Pattern = value
	case "length":
		return whole(&c.Length)
	case "min-length":
		return whole(&c.Check.MinLength)
	case "min":
		return number(&c.Check.Min)
	case "max":
		return number(&c.Check.Max)
	default:
		return "there is no such option"
	}
	return ""
}

// defaultOption applies one of the options that make a default.
func (c *Column) defaultOption(key, value string) (problem string) {
	if c.Default == nil {
		c.Default = &Default{}
	}
	switch key {
	case "default":
		c.Default.Value = value
	case "default-now":
		c.Default.Now = true
	case "default-random":
		c.Default.Random = true
	case "when-empty":
		c.Default.WhenEmpty = true
	default:
		return "there is no such option"
	}
	return ""
}
