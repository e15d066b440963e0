package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

// Trust says who is right where a row and its record differ.
type Trust string

// Whom to trust. Nobody is the zero value: then such rows stay as they are.
const (
	TrustNobody      Trust = ""
	TrustApplication Trust = "application" // the row becomes a new version of the record
	TrustStore       Trust = "store"       // the record is written over the row
)

// Repair mends a database. All its fields but Trust must be set.
type Repair struct {
	DB      *db.DB
	Profile *model.Profile
	// Renew gives the database a new identity.
	Renew func(ctx context.Context) error
	// Settle serializes rows that are marked as changed, and applies records that are
	// marked as waiting.
	Settle func(ctx context.Context) error
	Trust  Trust
}

// Mended is how many findings of a kind are gone.
type Mended struct {
	Kind  Kind  `json:"kind"`
	Count int64 `json:"count"`
}

// RepairReport is what a repair did, or would do. Its JSON form is stable.
type RepairReport struct {
	Planned bool     `json:"planned"` // nothing was changed: Mended is what would be
	Mended  []Mended `json:"mended"`
	Left    Report   `json:"left"` // what could not be mended; each kind says what to do
}

// ErrTrust says that Trust is none of its values.
var ErrTrust = errors.New("trust application or store, nobody else")

// Check refuses what is no such thing.
func (t Trust) Check() error {
	if t != TrustNobody && t != TrustApplication && t != TrustStore {
		return fmt.Errorf("%w: not %q", ErrTrust, string(t))
	}
	return nil
}

// Plan says what Run would mend. It changes nothing.
func (r Repair) Plan(ctx context.Context, o Options) (RepairReport, error) {
	if err := r.Trust.Check(); err != nil {
		return RepairReport{}, err
	}
	found, err := Run(ctx, r.DB, r.Profile, o)
	if err != nil {
		return RepairReport{}, err
	}
	plan := RepairReport{Planned: true, Mended: []Mended{}, Left: found}
	plan.Left.Found = []Found{}
	for _, f := range found.Found {
		if r.mends(f.Kind) {
			plan.Mended = append(plan.Mended, Mended{f.Kind, f.Count})
		} else {
			plan.Left.Found = append(plan.Left.Found, f)
		}
	}
	return plan, nil
}

// Run mends what can be mended without guessing, in transactions of bounded length: an
// interrupted repair is simply run again. Nothing that only a person can decide is
// touched unless Trust says so.
func (r Repair) Run(ctx context.Context, o Options) (RepairReport, error) {
	if err := r.Trust.Check(); err != nil {
		return RepairReport{}, err
	}
	before, err := Run(ctx, r.DB, r.Profile, o)
	if err != nil {
		return RepairReport{}, err
	}
	report := RepairReport{Mended: []Mended{}, Left: before}
	if before.Of(File).Count > 0 {
		return report, nil // whatever is written into a broken file may break more of it
	}
	for _, f := range before.Found {
		if !r.mends(f.Kind) {
			continue
		}
		if err := r.steps()[f.Kind](ctx); err != nil {
			return report, fmt.Errorf("mend %s: %w", f.Kind, err)
		}
	}
	if err := r.Settle(ctx); err != nil {
		return report, fmt.Errorf("settle what was mended: %w", err)
	}
	if err := r.dropNoise(ctx); err != nil { // settling claims all of the database, and a lowered claim may say no more than a wider one
		return report, fmt.Errorf("mend %s: %w", ClaimNoise, err)
	}
	if report.Left, err = Run(ctx, r.DB, r.Profile, o); err != nil {
		return report, err
	}
	for _, f := range before.Found {
		if gone := f.Count - report.Left.Of(f.Kind).Count; gone > 0 {
			report.Mended = append(report.Mended, Mended{f.Kind, gone})
		}
	}
	return report, nil
}

// mends says whether a kind can be mended with the trust that there is.
func (r Repair) mends(k Kind) bool {
	switch k {
	case RowDeleted, RowDiffers:
		return r.Trust != TrustNobody
	case RowUnknown, TextUnreadable:
		return r.Trust == TrustApplication // the store has nothing to write over the row
	}
	return r.steps()[k] != nil
}

// steps are what mends each kind.
func (r Repair) steps() map[Kind]func(context.Context) error {
	return map[Kind]func(context.Context) error{
		TwoIdentities:   r.Renew,
		CounterBehind:   r.Renew,
		HardDeletedText: r.blank,
		NoVersion:       r.addVersions,
		NoRecord:        r.forgetRecords,
		ClaimAhead:      r.lowerOwnClaims,
		ClaimNoise:      r.dropNoise,
		PartitionDigest: r.sumAgain,
		RowMissing:      r.missingRows,
		RowUnknown:      r.doubtfulRows,
		RowDeleted:      r.doubtfulRows,
		RowDiffers:      r.doubtfulRows,
		TextUnreadable:  r.doubtfulRows,
		CertificateTree: r.rebuildTrees,
		BufferOrphan:    r.dropBuffers,
		TransferOrphan:  r.dropTransfers,
	}
}
