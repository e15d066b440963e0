package wire

import (
	"fmt"
	"strings"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/ident"
)

// Omissions tell what did not travel in a transfer session: a field of transfer sessions
// and of their updates, between MoranGo peers only. Nil parts tell nothing.
type Omissions struct {
	Unsent  *Omission `json:"unsent,omitempty"`  // what the sender could not send
	Refused *Omission `json:"refused,omitempty"` // what the receiver would not take
}

// Omission is a number of records, of which the first are named. Lowest is for each
// instance the lowest counter of its records among them: a receiver that claimed as much
// would claim what it does not have.
type Omission struct {
	Total  int64            `json:"total"`
	First  []LeftOut        `json:"first"`
	Lowest counter.Counters `json:"lowest,omitempty"`
}

const (
	maxOmitted        = 20   // records that are named
	maxLowest         = 1000 // instances
	maxOmissionText   = 300  // characters of a reason, or of what else is told
	maxOmissionNumber = 1<<31 - 1
)

// Bounded is the omission as far as it can be believed: texts cut and made printable,
// ids that are ids, counters that are counters. Nil stays nil.
func (o *Omission) Bounded() *Omission {
	if o == nil {
		return nil
	}
	kept := &Omission{Total: min(max(o.Total, 0), maxOmissionNumber), Lowest: counter.Counters{}}
	for _, r := range o.First[:min(len(o.First), maxOmitted)] {
		kept.First = append(kept.First, LeftOut{ID: cut(r.ID, 40), Model: cut(r.Model, 40), Reason: cut(r.Reason, maxOmissionText)})
	}
	for instance, n := range o.Lowest {
		if len(kept.Lowest) < maxLowest && ident.Valid(instance) && n > 0 && n <= counter.Greatest {
			kept.Lowest[instance] = n
		}
	}
	return kept
}

// check refuses an omission that names more than it may: cutting it short would claim
// what was not received.
func (o *Omission) check(name string) error {
	if o != nil && (len(o.Lowest) > maxLowest || len(o.First) > maxOmitted) {
		return FieldErrors{"left_out": {fmt.Sprintf("%s names too many records or instances.", name)}}
	}
	return nil
}

// cut is a text of at most n characters, printable.
func cut(text string, n int) string {
	runes := []rune(strings.ToValidUTF8(text, "?"))
	for i, r := range runes {
		if r < ' ' || r == 0x7f {
			runes[i] = ' '
		}
	}
	return string(runes[:min(len(runes), n)])
}
