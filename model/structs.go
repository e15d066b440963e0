package model

// FromStructs builds a profile from Go structs whose fields carry `morango:"..."` tags.
func FromStructs(name string, scopes []ScopeDefinition, structs ...any) (*Profile, error) {
	panic("not written")
}
