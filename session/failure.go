package session

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/morango-go/morango/db"
)

// Failure is why a stage of a transfer session went wrong last. It stands in the sync
// session's extra_fields, for the transfer session has no column for it.
type Failure struct {
	TransferSession string    `json:"transfer_session"`
	Stage           string    `json:"stage"`
	Reason          string    `json:"reason"`
	Time            time.Time `json:"time"`
}

const (
	failureKey    = "morango_failure"
	longestReason = 1000 // characters
)

// Failure returns what went wrong last in the sync session, and false when nothing is noted.
func (s Sync) Failure() (Failure, bool) {
	var f *Failure
	if json.Unmarshal(extra(s.ExtraFields)[failureKey], &f) != nil || f == nil {
		return Failure{}, false
	}
	return *f, true
}

// SetFailure notes in the sync session why a stage went wrong, in place of what was
// noted before. Other fields that somebody keeps there stay.
func SetFailure(ctx context.Context, tx *db.Tx, syncID string, f Failure) error {
	s, err := GetSync(ctx, tx, syncID)
	if err != nil {
		return err
	}
	fields := extra(s.ExtraFields)
	if letters := []rune(f.Reason); len(letters) > longestReason {
		f.Reason = string(letters[:longestReason]) + "…"
	}
	if fields[failureKey], err = json.Marshal(f); err != nil {
		return fmt.Errorf("note the failure of stage %s: %w", f.Stage, err)
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("note the failure of stage %s: %w", f.Stage, err)
	}
	return setExtra(ctx, tx, s.ID, string(text))
}
