package wire

import (
	"encoding/hex"
	"testing"

	"pgregory.net/rapid"

	"github.com/morango-go/morango/ident"
)

// An idTable numbers like a map with a list, also after some were taken back.
func TestIDTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(0, 300).Draw(t, "most")
		table, numbers, order := newIDTable(most), map[rawID]uint64{}, []rawID(nil)
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			if rapid.IntRange(0, 3).Draw(t, "back") == 0 {
				first := rapid.IntRange(0, len(order)).Draw(t, "first")
				table.reset(first)
				for i, id := range order[first:] {
					if numbers[id] == uint64(first+i+1) {
						delete(numbers, id)
					}
				}
				order = order[:first]
			}
			if rapid.IntRange(0, 9).Draw(t, "clear") == 0 {
				table.clear()
				clear(numbers)
				order = order[:0]
			}
			for range rapid.IntRange(0, 30).Draw(t, "ids") {
				id := rawID{byte(rapid.IntRange(0, 250).Draw(t, "id"))}
				want, known := numbers[id]
				if rapid.IntRange(0, 3).Draw(t, "add") == 0 {
					if table.add(id); len(order) < most {
						if order = append(order, id); !known {
							numbers[id] = uint64(len(order))
						}
					}
					continue
				}
				if !known {
					want = uint64(len(order)) + 1
					if len(order) < most {
						order = append(order, id)
						numbers[id] = want
					}
				}
				if got, fresh := table.number(id); got != want || fresh == known {
					t.Fatalf("id %x: number %d (%t) instead of %d (%t)", id[:1], got, fresh, want, !known)
				}
			}
		}
	})
}

// parseID takes what ident.Valid takes, and nothing else.
func TestParseID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`[0-9a-f]{32}`), rapid.StringMatching(`[0-9a-f]{31}[^0-9a-f]`),
			rapid.StringMatching(`[0-9a-fA-F]{30,34}`), rapid.StringN(32, 32, 32)).Draw(t, "text")
		id, ok := parseID(text)
		if ok != ident.Valid(text) || ok && hex.EncodeToString(id[:]) != text {
			t.Errorf("%q: %x, %v", text, id, ok)
		}
	})
}

// No digit is taken for another, wherever it stands.
func TestDigits(t *testing.T) {
	for i := range ident.Length {
		text := []byte("0123456789abcdef0123456789abcdef")
		for c := range 256 {
			text[i] = byte(c)
			if id, ok := parseID(text); ok != ident.Valid(string(text)) || ok && hex.EncodeToString(id[:]) != string(text) {
				t.Fatalf("%q: %x, %v", text, id, ok)
			}
		}
	}
}
