package partition

// Build fills a filter template with parameters and splits the result into
// prefixes. Holes are ${name} and $name (ASCII letters, digits, underscore; case
// counts); "$$" is a dollar; a hole without a parameter and a stray dollar stay
// as they are. Values that are no strings appear in the text form of Python
// (None, True, 1e+22, [1, 'a']), because certificates made by Python peers rely
// on it; the keys of a map come in sorted order (BuildJSON keeps them as written).
// substituted is the text before it is split.
func Build(template string, params map[string]any) (f Filter, substituted string) {
	panic("not written")
}

// BuildJSON is Build with the parameters as the text of a JSON object, the form in
// which certificates carry them. Numbers keep their digits. The error says what is
// wrong with the text.
func BuildJSON(template, paramsJSON string) (f Filter, substituted string, err error) {
	panic("not written")
}

// Scope is what a certificate grants: the filters within which its holder may
// read and write. The zero value grants nothing.
type Scope struct{ Read, Write Filter }

// NewScope fills the three templates of a scope definition: what may be read, what
// may be written, and what may be both. An empty template adds nothing, but a
// scope whose templates for one direction are all empty matches all in that
// direction.
func NewScope(readTemplate, writeTemplate, readWriteTemplate string, params map[string]any) Scope {
	panic("not written")
}

// NewScopeJSON is NewScope with the parameters as JSON text, as BuildJSON.
func NewScopeJSON(readTemplate, writeTemplate, readWriteTemplate, paramsJSON string) (Scope, error) {
	panic("not written")
}

// SubsetOf says whether s grants nothing that t does not: nil when so, else an
// error that names the direction and the prefix in the way.
func (s Scope) SubsetOf(t Scope) error { panic("not written") }

// Equal says whether both directions have the same prefixes.
func (s Scope) Equal(t Scope) bool { return s.Read.Equal(t.Read) && s.Write.Equal(t.Write) }
