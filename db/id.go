package db

import (
	"fmt"

	"github.com/morango-go/morango/ident"
)

// ID scans a column that holds an id: 32 hex digits, whichever way the engine
// shows it (PostgreSQL puts dashes into uuids). A text that is no id stays as it
// is. Null is "".
type ID string

// Scan implements sql.Scanner.
func (i *ID) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*i = ""
	case string:
		*i = ID(bare(v))
	case []byte:
		*i = ID(bare(string(v)))
	default:
		return fmt.Errorf("an id cannot be read from %T", src)
	}
	return nil
}

// bare is an id without the dashes.
func bare(text string) string {
	if id, err := ident.Parse(text); err == nil {
		return id
	}
	return text
}
