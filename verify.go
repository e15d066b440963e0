package morango

import (
	"context"

	"github.com/morango-go/morango/verify"
)

// VerifyOptions say how Verify tells what it finds. The zero value is the usual.
type VerifyOptions = verify.Options

// VerifyReport is what Verify found; Clean says whether that is nothing.
type VerifyReport = verify.Report

// Verify checks the database by itself: the file, the store against the application's
// rows, versions against histories and claims, certificates, and what sessions left
// behind. It reads everything, on one snapshot, and writes nothing.
func (n *Node) Verify(ctx context.Context, o VerifyOptions) (VerifyReport, error) {
	return verify.Run(ctx, n.db, n.Profile(), o)
}
