package db

import (
	"fmt"
	"strings"
)

// ID scans a column that holds an id, as 32 lower-case hex digits in whichever
// form the engine returns it: PostgreSQL's uuid comes with dashes. Null is "".
type ID string

// Scan implements sql.Scanner.
func (id *ID) Scan(src any) error {
	switch src := src.(type) {
	case nil:
		*id = ""
	case string:
		*id = ID(undashed(src))
	case []byte:
		*id = ID(undashed(string(src)))
	default:
		return fmt.Errorf("an id came as %T, not as text", src)
	}
	return nil
}

// undashed takes the dashes out of a uuid's text, and leaves all else as it is.
func undashed(text string) string {
	if len(text) != len("00000000-0000-0000-0000-000000000000") {
		return text
	}
	return strings.ReplaceAll(text, "-", "")
}
