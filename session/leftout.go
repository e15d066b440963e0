package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
)

// What did not travel in a transfer session, and why, is kept in the sync session's
// extra_fields, by transfer session: no table of the reference has a column for it.
const leftOutKey = "morango_left_out"

// LeftOut is what did not travel in a transfer session. Both sides keep it, each as far
// as it knows and as far as the other has told. The zero value is nothing.
type LeftOut struct {
	Unsent  Omission `json:"unsent"`  // what the sender could not send
	Refused Omission `json:"refused"` // what the receiver would not take
}

// IsZero reports whether everything travelled.
func (l *LeftOut) IsZero() bool {
	return l.Unsent.Total == 0 && l.Refused.Total == 0
}

// Omission is a number of records or rows.
type Omission struct {
	Total int64     `json:"total,omitempty"`
	First []Omitted `json:"first,omitempty"` // at most MaxOmitted
	// Lowest is for each instance the lowest counter of its records among them: the
	// receiver claims nothing from there on.
	Lowest counter.Counters `json:"lowest,omitempty"`
	Keys   []string         `json:"keys,omitempty"` // those that are counted, up to maxKeys
}

// Omitted is one of them. The version is the zero value for a row that has none.
type Omitted struct {
	ID      string          `json:"id"`
	Model   string          `json:"model"`
	Reason  string          `json:"reason"`
	Version counter.Version `json:"-"`
}

const (
	// MaxOmitted is how many records of an omission are named.
	MaxOmitted = 20
	maxKeys    = 1000
)

// ErrTooMuchLeftOut says that so many records of one transfer session are unsound that
// the peer as a whole must be.
var ErrTooMuchLeftOut = errors.New("too many records of this transfer cannot be taken: the peer's database is damaged")

// key names a record's version in short.
func (o Omitted) key() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d", o.ID, o.Version.Instance, o.Version.Counter))
	return hex.EncodeToString(sum[:8])
}

// Add counts records that were not counted before, and returns how many these are.
// ErrTooMuchLeftOut when nobody could tell any more whether they were.
func (o *Omission) Add(records []Omitted) (added int, err error) {
	for _, r := range records {
		key := r.key()
		if slices.Contains(o.Keys, key) {
			continue
		}
		if len(o.Keys) == maxKeys {
			return added, ErrTooMuchLeftOut
		}
		o.Keys = append(o.Keys, key)
		o.Count(r)
		added++
	}
	return added, nil
}

// Note is Add where it does no harm to count a record twice.
func (o *Omission) Note(records []Omitted) {
	for i := range records {
		if _, err := o.Add(records[i : i+1]); err != nil {
			o.Count(records[i])
		}
	}
}

// Count counts one record, whether it was counted before or not.
func (o *Omission) Count(r Omitted) {
	o.Total++
	if len(o.First) < MaxOmitted {
		o.First = append(o.First, r)
	}
	if r.Version.Counter <= 0 {
		return
	}
	if o.Lowest == nil {
		o.Lowest = counter.Counters{}
	}
	if n, ok := o.Lowest[r.Version.Instance]; !ok || r.Version.Counter < n {
		o.Lowest[r.Version.Instance] = r.Version.Counter
	}
}

// LeftOut returns what did not travel in the transfer session.
func (t Transfer) LeftOut() LeftOut {
	all, _ := byTransfer[*LeftOut](t.Within.ExtraFields, leftOutKey)
	if all[t.ID] == nil {
		return LeftOut{}
	}
	return *all[t.ID]
}

// AllLeftOut returns what did not travel, by transfer session.
func (s Sync) AllLeftOut() map[string]*LeftOut {
	all, _ := byTransfer[*LeftOut](s.ExtraFields, leftOutKey)
	return all
}

// ChangeLeftOut changes what did not travel in the transfer session. Write stores it, in the
// transaction that goes on without it.
func (t *Transfer) ChangeLeftOut(change func(*LeftOut) error) error {
	return changeByTransfer(t, leftOutKey, func(all map[string]*LeftOut) (bool, error) {
		left, known := all[t.ID]
		if !known || left == nil {
			left = &LeftOut{}
		}
		before, err := json.Marshal(left)
		if err == nil {
			err = change(left)
		}
		if err != nil {
			return false, err
		}
		after, err := json.Marshal(left)
		all[t.ID] = left
		return string(before) != string(after), err
	})
}

// ChangeLeftOut is Transfer.ChangeLeftOut, and stores it.
func ChangeLeftOut(ctx context.Context, tx *db.Tx, t Transfer, change func(*LeftOut) error) error {
	return changeExtra(ctx, tx, t, func(t *Transfer) error { return t.ChangeLeftOut(change) })
}
