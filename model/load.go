package model

import "io"

// Load reads a profile from YAML. name is the file's name for error messages.
// The result is valid and in dependency order; an error names file, line and
// model, and joins all that was found.
func Load(name string, yaml io.Reader) (*Profile, error) { panic("not written") }

// LoadFile reads a profile from the YAML file at path.
func LoadFile(path string) (*Profile, error) { panic("not written") }

// FromStructs builds a profile from Go structs whose fields carry `morango:"..."` tags.
func FromStructs(name string, scopes []ScopeDefinition, structs ...any) (*Profile, error) {
	panic("not written")
}
