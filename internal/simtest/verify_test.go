package simtest

import (
	"context"
	"fmt"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/verify"
)

// checkByItself has the peer check its own database, by the code that its users have.
// It does not share anything with the simulator's own checks.
func (w *world) checkByItself(p *peer) {
	report, err := p.node.Verify(context.Background(), morango.VerifyOptions{})
	if err != nil {
		w.fail("%s verifies: %v", p.name(), err)
		return
	}
	w.count.verified++
	for _, f := range report.Found {
		switch {
		case f.Kind == verify.ClaimNoise: // no harm
		case f.Kind == verify.Reference && p.user != "": // what a narrow scope does not read
		case f.Kind == verify.BufferOrphan, f.Kind == verify.TransferOrphan: // a crash left them, the next cleanup takes them
		default:
			w.fail("%s finds by verify: %s", p.name(), unquoted(fmt.Sprintf("%+v", f)))
		}
	}
}
