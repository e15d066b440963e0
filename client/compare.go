package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/verify"
	"github.com/morango-go/morango/wire"
)

// ErrNoDigests says that the peer cannot be compared with.
var ErrNoDigests = errors.New("the peer does not tell digests: it is not MoranGo, or an older one")

// maxDigests bounds an answer about digests: the claims of a large hub are much of it.
const maxDigests = 32 << 20

// Digests asks what the peer holds.
func (p *Peer) Digests(ctx context.Context, body wire.DigestRequest) (wire.DigestAnswer, error) {
	var found wire.DigestAnswer
	text, err := wire.Marshal(body)
	if err != nil {
		return found, err
	}
	err = p.do(ctx, request{method: http.MethodPost, path: wire.PathDigests, body: text}, maxDigests, func(body io.Reader) error {
		if err := wire.Read(body, maxDigests, &found); err != nil {
			return err
		}
		return found.Check()
	})
	return found, err
}

// CompareOptions say what is compared with a peer. The zero value is everything that
// may be pulled from it.
type CompareOptions struct {
	Filter        partition.Filter // zero: all that the certificates allow to be pulled
	CertificateID string           // own certificate to use; "" finds one
	verify.CompareOptions
}

// Compare compares what both peers hold, in a sync session of its own without any
// transfer; ErrNoDigests. Nothing is changed on either side.
func (s Syncer) Compare(ctx context.Context, o CompareOptions) (result verify.Comparison, err error) {
	c, err := s.connect(ctx, Options{Fresh: true, CertificateID: o.CertificateID}, &Result{})
	if err != nil {
		return result, err
	}
	if !s.Peer.Shared().Has(wire.PartitionDigests) {
		err = fmt.Errorf("compare with %s: %w", s.Peer.BaseURL, ErrNoDigests)
	}
	var filter partition.Filter
	if err == nil {
		filter, err = c.filter(false, o.Filter)
	}
	if err == nil {
		result, err = verify.Compare(ctx, s.Engine.Env().DB, s.Engine.Env().Profile.Name, filter, asker{c}, o.CompareOptions)
	}
	return result, errors.Join(err, c.close(context.WithoutCancel(ctx)))
}

// asker is a conversation's peer as package verify sees it.
type asker struct{ c *conversation }

// Ask implements verify.Asker.
func (a asker) Ask(ctx context.Context, q verify.Question) (verify.Answer, error) {
	found, err := a.c.peer.Digests(ctx, a.c.digestRequest(q))
	if err != nil {
		return verify.Answer{}, err
	}
	return answerOf(found), nil
}

func (c *conversation) digestRequest(q verify.Question) wire.DigestRequest {
	body := wire.DigestRequest{SyncSessionID: c.sync.ID, Filter: q.Filter.String(), Claims: q.Claims, Brief: q.Brief, Whole: q.Whole, IDs: q.IDs}
	if q.Covered != nil {
		body.Covered = map[string]map[string]int64{}
		for prefix, counters := range q.Covered {
			body.Covered[prefix] = counters
		}
	}
	for _, one := range q.Sums {
		body.Sums = append(body.Sums, wire.DigestSpan{one.First, one.Last})
	}
	for _, one := range q.Lists {
		body.Lists = append(body.Lists, wire.DigestSpan{one.First, one.Last})
	}
	if q.Kept {
		body.Kept = &wire.DigestKept{Sum: verify.Digest{}.Sum()} // nothing in particular
	}
	for _, p := range q.Parts {
		body.Parts = append(body.Parts, wire.DigestPart{Partition: p.Partition, Records: p.Records, Sum: p.Sum()})
	}
	for _, r := range q.Ranges {
		body.Ranges = append(body.Ranges, wire.DigestPartRange{r.From, r.To})
	}
	for _, r := range q.PartsOf {
		body.PartsOf = append(body.PartsOf, wire.DigestPartRange{r.From, r.To})
	}
	return body
}

func answerOf(found wire.DigestAnswer) (a verify.Answer) {
	for _, sum := range found.Sums {
		a.Sums = append(a.Sums, verify.Sum{Digest: verify.NewDigest(sum.Records, sum.Sum), Last: sum.Last})
	}
	for _, list := range found.Lists {
		entries := make([]verify.Entry, len(list))
		for i, e := range list {
			entries[i] = verify.Entry{ID: e.ID, Partition: e.Partition, Content: e.Content,
				Version: counter.Version{Instance: e.Instance, Counter: e.Counter}}
		}
		a.Lists = append(a.Lists, entries)
	}
	a.Claims = counter.ByPartition{}
	for prefix, counters := range found.Claims {
		a.Claims[prefix] = counters
	}
	a.Ahead = found.Ahead
	if k := found.Kept; k != nil {
		a.Kept = &verify.Kept{Digest: verify.NewDigest(k.Records, k.Sum), Partitions: k.Partitions, Complete: k.Complete}
	}
	for _, p := range found.Parts {
		a.Parts = append(a.Parts, verify.Part{Partition: p.Partition, Digest: verify.NewDigest(p.Records, p.Sum)})
	}
	for _, s := range found.Ranges {
		a.Ranges = append(a.Ranges, verify.NewDigest(s.Records, s.Sum))
	}
	return a
}

// closeCompared ends the sync session, and on the way compares with the peer, where both
// can, some records, others each time, so that all get their turn; and the kept digests of
// the partitions. Equal ones cost
// no request more, because the peer closes the session with its answer. What is found
// never makes the sync fail.
func (c *conversation) closeCompared(ctx context.Context, o Options, r *Result) error {
	if !c.peer.Shared().Has(wire.PartitionDigests) {
		return c.close(ctx)
	}
	filter, err := c.filter(false, o.Filter)
	if err != nil { // we may not read what we push
		return c.close(ctx)
	}
	env := c.Engine.Env()
	start, err := env.NewID()
	if err != nil {
		return err
	}
	closed := false
	glance := verify.Glance{Profile: env.Profile.Name, Filter: filter, Start: start, Peer: c.sync.ServerInstanceID, Now: env.Now,
		Unpulled: !o.Pull, Unpushed: !o.Push}
	r.Compared, err = glance.Compare(ctx, env.DB, asker{c}, func(ctx context.Context, q verify.Question, ours []verify.Sum, kept *verify.Kept) (verify.Answer, error) {
		body := c.digestRequest(q)
		body.Kept = nil
		if kept != nil {
			body.Kept = &wire.DigestKept{Partitions: kept.Partitions, Records: kept.Records, Sum: kept.Sum(), Complete: kept.Complete}
		}
		for _, sum := range ours {
			body.Expect = append(body.Expect, wire.DigestSum{Records: sum.Records, Sum: sum.Sum(), Last: sum.Last})
		}
		found, err := c.peer.Digests(ctx, body)
		closed = found.Closed
		return answerOf(found), err
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		r.Compared = nil // the sync is done; the next one compares again
	case !r.Compared.Clean():
		body := c.digestRequest(verify.Question{Filter: filter})
		body.Lost, body.Damaged = r.Compared.Lost, r.Compared.Damaged
		_, _ = c.peer.Digests(ctx, body) // for the peer's log; ours knows already
	}
	if closed {
		return env.DB.Write(ctx, func(tx *db.Tx) error { return session.CloseSync(ctx, tx, c.sync.ID, env.Now()) })
	}
	return c.close(ctx)
}
