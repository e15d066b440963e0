package sqlite

// The result codes by which SQLite refuses what a row holds.
const (
	codeTooBig     = 18
	codeConstraint = 19
	codeMismatch   = 20
)

// IsConstraint reports whether SQLite refused what a row holds.
func IsConstraint(err error) bool {
	switch code(err) {
	case codeConstraint, codeMismatch, codeTooBig:
		return true
	}
	return false
}
