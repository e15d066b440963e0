package record

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The form in which nearly all moments come is read as the forms in general are, and what
// does not have it is left to these.
func TestPlainMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[0-9]{4}[-d][0-3][0-9]-[0-3][0-9][T d][0-2][0-9]:[0-6][0-9]:[0-6][0-9]([.,][0-9]{0,7})?Z?`).Draw(t, "text")
		at, ok := plainMoment(text)
		if !ok {
			return
		}
		parts := fullMoment.FindStringSubmatch(text)
		if parts == nil {
			t.Fatalf("%s is %v, and should be nothing", text, at)
		}
		if want, err := build(text, parts[1:4], parts[4:8], parts[8]); err != nil || !want.Equal(at) {
			t.Fatalf("%s is %v, and should be %v (%v)", text, at, want, err)
		}
	})
	for text, want := range map[string]time.Time{
		"2026-03-02T08:13:52Z":       time.Date(2026, 3, 2, 8, 13, 52, 0, time.UTC),
		"2026-03-02 08:13:52.630":    time.Date(2026, 3, 2, 8, 13, 52, 630_000_000, time.UTC),
		"0001-12-28 23:59:59.000001": time.Date(1, 12, 28, 23, 59, 59, 1000, time.UTC),
	} {
		if at, ok := plainMoment(text); !ok || !at.Equal(want) {
			t.Errorf("%s is %v, %v", text, at, ok)
		}
	}
}
