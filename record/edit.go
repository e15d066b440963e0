package record

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/morango-go/morango/model"
)

// Difference is a field in which copies of a record differ. Values are JSON, in one
// spelling; "" where a copy does not have the field. A text that is no JSON object
// differs as a whole: Field is "" then, and values are the texts as JSON strings.
type Difference struct {
	Field  string
	Ours   string
	Copies []string
}

// Differences compares a record's text with copies of it, field by field. What differs
// comes in the order of the fields in ours, then in the copies.
func Differences(ours string, copies []string) []Difference {
	all := append([]string{ours}, copies...)
	fields := make([]map[string]string, len(all))
	var keys []string
	for i, text := range all {
		if text == "" {
			text = "{}"
		}
		list, err := members(text)
		if err != nil {
			return []Difference{wholes(all)}
		}
		fields[i] = map[string]string{}
		for _, m := range list {
			if m.key == fieldsKey {
				continue
			}
			fields[i][m.key] = string(appendNormal(nil, m.raw))
			if !slices.Contains(keys, m.key) {
				keys = append(keys, m.key)
			}
		}
	}
	var found []Difference
	for _, key := range keys {
		d := Difference{Field: key, Ours: fields[0][key]}
		differs := false
		for _, copied := range fields[1:] {
			d.Copies = append(d.Copies, copied[key])
			differs = differs || copied[key] != d.Ours
		}
		if differs {
			found = append(found, d)
		}
	}
	return found
}

// wholes are texts as the values of one difference.
func wholes(texts []string) Difference {
	var d Difference
	for i, text := range texts {
		quoted := string(appendQuoted(nil, strings.ToValidUTF8(text, "?")))
		if i == 0 {
			d.Ours = quoted
		} else {
			d.Copies = append(d.Copies, quoted)
		}
	}
	return d
}

// Set returns a text with some fields put to other values, which are JSON. Fields that
// it lacks come last, in the order of their names.
func Set(text string, values map[string]string) (string, error) {
	if text == "" {
		text = "{}"
	}
	list, err := members(text)
	if err != nil {
		return "", err
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !json.Valid([]byte(values[key])) || !utf8.ValidString(values[key]) {
			return "", fmt.Errorf("the value of %s is not JSON: %s", key, quoteShort(values[key]))
		}
		m := member{key: key, rawKey: string(appendQuoted(nil, key)), raw: strings.TrimSpace(values[key])}
		if at := find(list, key); at >= 0 {
			list[at] = m
		} else {
			list = append(list, m)
		}
	}
	return write(list), nil
}

// Fields returns the fields of a text that is a JSON object, with their values in JSON.
func Fields(text string) (map[string]string, error) {
	list, err := members(text)
	if err != nil {
		return nil, err
	}
	fields := make(map[string]string, len(list))
	for _, m := range list {
		fields[m.key] = m.raw
	}
	return fields, nil
}

// Canonical returns a record's text as this build writes the row that comes of it:
// defaults applied, values checked and in the reference's spelling, keys that the model
// does not know kept. An error is a *FieldError.
func Canonical(r Record, m *model.Model, now time.Time, random func() string) (string, error) {
	values, err := Decode(m, r.ID, r.SourceID, r.Partition, r.Serialized, now, random)
	if err != nil {
		return "", err
	}
	travels := values[:0]
	for i, c := range m.Columns {
		if !c.Local {
			travels = append(travels, values[i])
		}
	}
	return Update(r.Serialized, m, travels)
}
