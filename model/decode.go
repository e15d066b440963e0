package model

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// profile reads the document.
func (r *reader) profile(node ast.Node) *Profile {
	p := &Profile{}
	r.mapping(place{}, node, keys{
		"profile": func(n ast.Node) { p.Name = r.text(place{key: "profile"}, n) },
		"capture": func(n ast.Node) { p.Capture = Capture(r.text(place{key: "capture"}, n)) },
		"instance-info": func(n ast.Node) {
			p.InstanceInfo = r.texts(place{key: "instance-info"}, n)
		},
		"scopes": func(n ast.Node) {
			for i, item := range r.items(place{key: "scopes"}, n) {
				p.Scopes = append(p.Scopes, r.scope(i+1, item))
			}
		},
		"models": func(n ast.Node) {
			for _, item := range r.items(place{key: "models"}, n) {
				p.Models = append(p.Models, r.model(item))
			}
		},
	})
	return p
}

// texts reads a mapping of text to text.
func (r *reader) texts(at place, node ast.Node) map[string]string {
	entries, ok := pairs(node)
	if !ok {
		r.wrong(at, node, "expected a mapping of text to text")
	}
	out := map[string]string{}
	for _, entry := range entries {
		if name, ok := r.key(at, entry); ok {
			out[name] = r.text(at, entry.Value)
		}
	}
	return out
}

// scope reads the scope definition that stands at that number, from 1.
func (r *reader) scope(number int, node ast.Node) ScopeDefinition {
	s := ScopeDefinition{Version: 1}
	owner := place{scope: number}
	r.mark(owner, node)
	text := func(key string, into *string) func(ast.Node) {
		return func(n ast.Node) { *into = r.text(place{scope: number, key: key}, n) }
	}
	r.mapping(owner, node, keys{
		"id":          text("id", &s.ID),
		"version":     func(n ast.Node) { s.Version = r.whole(place{scope: number, key: "version"}, n) },
		"primary":     text("primary", &s.PrimaryScopeParam),
		"description": text("description", &s.Description),
		"read":        text("read", &s.ReadTemplate),
		"write":       text("write", &s.WriteTemplate),
		"read-write":  text("read-write", &s.ReadWriteTemplate),
	})
	return s
}

// model reads one model.
func (r *reader) model(node ast.Node) *Model {
	m := &Model{}
	owner := place{model: m}
	r.mark(owner, node)
	if entries, ok := pairs(node); ok {
		m.Name = nameIn(entries) // first, so that problems above it name the model
	}
	r.mapping(owner, node, keys{
		"name":      func(n ast.Node) { m.Name = r.text(place{model: m, key: "name"}, n) },
		"table":     func(n ast.Node) { m.Table = r.text(place{model: m, key: "table"}, n) },
		"where":     func(n ast.Node) { m.Where = r.where(m, n) },
		"after":     func(n ast.Node) { m.After = r.strings(place{model: m, key: "after"}, n) },
		"source":    func(n ast.Node) { m.Source = r.source(m, n) },
		"partition": func(n ast.Node) { m.Partition = r.partition(m, n) },
		"id":        func(n ast.Node) { m.IDIsSource = r.idRule(m, n) },
		"merge":     func(n ast.Node) { m.Merge = r.merge(m, n) },
		"columns": func(n ast.Node) {
			for _, item := range r.items(place{model: m, key: "columns"}, n) {
				m.Columns = append(m.Columns, r.column(m, item))
			}
		},
	})
	return m
}

// nameIn returns the text under the key "name", "" when there is none.
func nameIn(entries []*ast.MappingValueNode) string {
	for _, entry := range entries {
		key, ok := entry.Key.(*ast.StringNode)
		value, isText := entry.Value.(*ast.StringNode)
		if ok && isText && key.Value == "name" {
			return value.Value
		}
	}
	return ""
}

// strings reads a list of texts.
func (r *reader) strings(at place, node ast.Node) []string {
	var out []string
	for _, item := range r.items(at, node) {
		out = append(out, r.text(at, item))
	}
	return out
}

// where reads a discriminator, in the order of the file.
func (r *reader) where(m *Model, node ast.Node) []Equal {
	at := place{model: m, key: "where"}
	entries, ok := pairs(node)
	if !ok {
		r.wrong(at, node, "expected a mapping of column to text")
	}
	var out []Equal
	for _, entry := range entries {
		if column, ok := r.key(at, entry); ok {
			out = append(out, Equal{Column: column, Value: r.text(at, entry.Value)})
		}
	}
	return out
}

// idRule reads "hash" or "source".
func (r *reader) idRule(m *Model, node ast.Node) bool {
	at := place{model: m, key: "id"}
	switch rule := r.text(at, node); rule {
	case "source":
		return true
	case "hash":
	default:
		r.wrong(at, node, "unknown rule %q for ids; it is \"hash\" or \"source\"", rule)
	}
	return false
}

// source reads the word "random", or a mapping with one rule.
func (r *reader) source(m *Model, node ast.Node) SourceRule {
	at := place{model: m, key: "source"}
	if word, ok := node.(*ast.StringNode); ok {
		if word.Value != string(SourceRandom) {
			r.wrong(at, node, "unknown rule %q; it is \"random\" or a mapping such as {column: name}", word.Value)
		}
		return SourceRule{Kind: SourceRandom}
	}
	var rule SourceRule
	kind := func(k SourceKind) func(ast.Node) {
		return func(n ast.Node) {
			if rule.Kind != "" {
				r.wrong(at, n, "two rules, %s and %s; keep one", rule.Kind, k)
			}
			rule.Kind, rule.Text = k, r.text(at, n)
		}
	}
	r.mapping(at, node, keys{
		"template":         kind(SourceTemplate),
		"column":           kind(SourceColumn),
		"uuid5":            kind(SourceUUID5),
		"root-certificate": kind(SourceRootCertificate),
		"namespace":        func(n ast.Node) { rule.Namespace = r.text(at, n) },
	})
	return rule
}

// partition reads one template, or a list of templates with conditions.
func (r *reader) partition(m *Model, node ast.Node) []PartitionRule {
	at := place{model: m, key: "partition"}
	if _, ok := node.(*ast.SequenceNode); !ok {
		return []PartitionRule{{Template: r.text(at, node)}}
	}
	var rules []PartitionRule
	for _, item := range r.items(at, node) {
		var rule PartitionRule
		r.mapping(at, item, keys{
			"when-null": func(n ast.Node) { rule.WhenNull = r.text(at, n) },
			"template":  func(n ast.Node) { rule.Template = r.text(at, n) },
		})
		rules = append(rules, rule)
	}
	return rules
}

// merge reads a rule's name, or a mapping of rule and column.
func (r *reader) merge(m *Model, node ast.Node) MergeRule {
	at := place{model: m, key: "merge"}
	if _, ok := pairs(node); !ok {
		return MergeRule{Kind: MergeKind(r.text(at, node))}
	}
	var rule MergeRule
	r.mapping(at, node, keys{
		"rule": func(n ast.Node) { rule.Kind = MergeKind(r.text(at, n)) },
		"by":   func(n ast.Node) { rule.By = r.text(at, n) },
	})
	return rule
}

// column reads one column.
func (r *reader) column(m *Model, node ast.Node) Column {
	c := Column{}
	if entries, ok := pairs(node); ok {
		c.Name = nameIn(entries)
	}
	owner := place{model: m, column: c.Name}
	r.mark(owner, node)
	at := func(key string) place { return place{model: m, column: c.Name, key: key} }
	r.mapping(owner, node, keys{
		"name":     func(n ast.Node) { c.Name = r.text(at("name"), n) },
		"type":     func(n ast.Node) { c.Type = Type(r.text(at("type"), n)) },
		"length":   func(n ast.Node) { c.Length = r.whole(at("length"), n) },
		"nullable": func(n ast.Node) { c.Nullable = r.flag(at("nullable"), n) },
		"unique":   func(n ast.Node) { c.Unique = r.flag(at("unique"), n) },
		"local":    func(n ast.Node) { c.Local = r.flag(at("local"), n) },
		"default":  func(n ast.Node) { c.Default = r.defaultOf(at("default"), n) },
		"references": func(n ast.Node) {
			c.References = &Reference{Model: r.text(at("references"), n)}
		},
		"choices":    func(n ast.Node) { c.Check.Choices = r.choices(at("choices"), n) },
		"min":        func(n ast.Node) { c.Check.Min = r.number(at("min"), n) },
		"max":        func(n ast.Node) { c.Check.Max = r.number(at("max"), n) },
		"min-length": func(n ast.Node) { c.Check.MinLength = r.whole(at("min-length"), n) },
		"pattern":    func(n ast.Node) { c.Check.Pattern = r.text(at("pattern"), n) },
	})
	return c
}

// choices reads a list of texts and whole numbers, numbers in decimal.
func (r *reader) choices(at place, node ast.Node) []string {
	var out []string
	for _, item := range r.items(at, node) {
		switch value, _ := scalar(item); v := value.(type) {
		case string:
			out = append(out, v)
		case int64:
			out = append(out, fmt.Sprint(v))
		default:
			r.wrong(at, item, "a choice is a text or a whole number")
		}
	}
	return out
}

// defaultOf reads a plain value, or a mapping with one of value, now, random.
func (r *reader) defaultOf(at place, node ast.Node) *Default {
	if value, ok := scalar(node); ok {
		return &Default{Value: value}
	}
	d := &Default{}
	r.mapping(at, node, keys{
		"now":        func(n ast.Node) { d.Now = r.flag(at, n) },
		"random":     func(n ast.Node) { d.Random = r.flag(at, n) },
		"when-empty": func(n ast.Node) { d.WhenEmpty = r.flag(at, n) },
		"value": func(n ast.Node) {
			value, ok := scalar(n)
			if !ok {
				r.wrong(at, n, "a default is null, a text, a number, true or false; write JSON as text")
			}
			d.Value = value
		},
	})
	return d
}
