package stream

import (
	"fmt"
	"strings"

	"github.com/morango-go/morango/ident"
)

// place is where the reading of the store stands: after the record with this id; "" is the
// beginning.
type place struct{ id string }

const cursorStart = "b0000-0000-"

// cursor is a place as text: greater than that of all places before it.
func (p place) cursor() string { return cursorStart + p.id }

// placeOf reads a cursor, which a peer may have made up.
func placeOf(cursor string) (p place, err error) {
	if cursor == "" {
		return p, nil
	}
	id, ok := strings.CutPrefix(cursor, cursorStart)
	if !ok || !ident.Valid(id) {
		return p, fmt.Errorf("%.60q: %w", cursor, ErrCursor)
	}
	return place{id}, nil
}
