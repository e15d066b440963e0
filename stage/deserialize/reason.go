package deserialize

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
)

// A reason that names another row begins with that row's id: so the rows that wait for
// one that has come are found by an index, on tables that have no column for it.
const (
	idLength  = 32
	isMissing = " is missing"
	isLate    = " is not applied yet"
)

// theParent and inColumn say in what way a row needs the other one.
const theParent = "it is the parent"

func inColumn(c model.Column) string {
	return fmt.Sprintf("it is the %s in %s", c.References.Model, c.Name)
}

// missingText is the reason of a row that needs one that is not here.
func missingText(id, why string) string { return id + isMissing + ": " + why }

// waitingText is the reason of a row that needs one that is here, but not applied.
func waitingText(id, why string) string { return id + isLate + ": " + why }

// waitsFor is waitingText, or what the other row lacks itself: when that comes, both can
// be applied.
func (p *page) waitsFor(id, why string) string {
	if lacks, ok := p.outcome.lacks[id]; ok {
		return chained(lacks, id, why)
	}
	return p.run.waitsFor(id, why)
}

func (r *run) waitsFor(id, why string) string {
	if lacks, ok := r.lacks[keyOf(id)]; ok {
		return chained(lacks, id, why)
	}
	return waitingText(id, why)
}

func chained(lacks key, id, why string) string {
	return fmt.Sprintf("%s%s: %s waits for it, and %s", hex.EncodeToString(lacks[:]), isMissing, id, why)
}

// Lacks returns the id of the row that a deserialization error says is missing or not
// applied yet; false when the error is of another kind.
func Lacks(reason string) (id string, ok bool) {
	if len(reason) <= idLength || !ident.Valid(reason[:idLength]) {
		return "", false
	}
	rest := reason[idLength:]
	return reason[:idLength], strings.HasPrefix(rest, isMissing) || strings.HasPrefix(rest, isLate)
}

const inCircle = "it is its own ancestor: the parents form a circle"

// isRefusal reports whether an error is about a row, not about the database.
func isRefusal(err error) bool {
	return db.IsConstraint(err) || errors.Is(err, app.ErrOtherModel) || errors.Is(err, app.ErrTogether) || errors.Is(err, errCircle)
}

const reasonLength = 1000 // bytes of an error that are worth keeping

// reasonText is an error as it goes into the store.
func reasonText(err error) string {
	text := strings.ToValidUTF8(err.Error(), "?")
	text = strings.ReplaceAll(text, "\x00", "")
	if len(text) > reasonLength {
		text = strings.ToValidUTF8(text[:reasonLength], "")
	}
	if text == "" {
		text = "could not be applied"
	}
	return text
}
