package server

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/verify"
	"github.com/morango-go/morango/wire"
)

// How many questions about digests are worked on at once, in all and of one network
// address. Those after a sync are answered in milliseconds and do not wait for the others,
// which take seconds.
const (
	digestsAtOnce      = 2
	digestsOfAddress   = 1
	briefDigestsAtOnce = 8
	briefOfAddress     = 4
)

// postDigests sums up, or lists, what the client may pull: it learns nothing that a
// pull would not give it.
func (s *Server) postDigests(r *http.Request) (answer, error) {
	if !s.capabilities.Has(wire.PartitionDigests) {
		return answer{}, notFound()
	}
	text, err := s.json(r)
	if err != nil {
		return answer{}, err
	}
	asked, err := wire.ParseDigestRequest(text)
	if err != nil {
		return answer{}, err
	}
	q, err := s.question(r, asked)
	if err != nil {
		return answer{}, err
	}
	if asked.Lost+asked.Damaged > 0 {
		s.log.WarnContext(r.Context(), "a peer finds that records were lost or damaged; compare with it by `morango verify URL`",
			"sync_session", asked.SyncSessionID, "client", s.clientIP(r), "lost", asked.Lost, "damaged", asked.Damaged)
	}
	gate := s.digests
	if q.Brief {
		gate = s.briefDigests
	}
	leave, err := gate.enter(r.Context(), s.clientIP(r))
	if err != nil {
		return answer{}, err
	}
	defer leave()
	allow(r, s.limits.Wait)
	found, err := verify.AskKept(r.Context(), s.env.DB, q, s.env.Now)
	if errors.Is(err, verify.ErrTooMuch) {
		return answer{}, wire.FieldErrors{"lists": {oneLine(err)}}
	}
	if err != nil {
		return answer{}, err
	}
	body := digestBody(found)
	if len(asked.Expect) > 0 && slices.Equal(asked.Expect, body.Sums) && found.Agrees(keptOf(asked.Kept)) {
		err = s.closeSync(r, asked.SyncSessionID)
		body.Closed = err == nil
	}
	return answer{status: http.StatusOK, body: body}, err
}

// question is what a client asks, if it may.
func (s *Server) question(r *http.Request, asked wire.DigestRequest) (verify.Question, error) {
	q := verify.Question{Profile: s.env.Profile.Name, Filter: partition.Parse(asked.Filter), Claims: asked.Claims, Brief: asked.Brief, Whole: asked.Whole}
	if q.Filter.Len() > maxFilter || strings.ContainsRune(asked.Filter, 0) {
		return q, wire.FieldErrors{"filter": {fmt.Sprintf("Ensure there are no more than %d prefixes, without null characters.", maxFilter)}}
	}
	q.IDs = asked.IDs
	if asked.Covered != nil {
		q.Covered = counter.ByPartition{}
		for prefix, counters := range asked.Covered {
			q.Covered[prefix] = counters
		}
	}
	for _, one := range asked.Sums {
		q.Sums = append(q.Sums, verify.Span{First: one[0], Last: one[1]})
	}
	for _, one := range asked.Lists {
		q.Lists = append(q.Lists, verify.Span{First: one[0], Last: one[1]})
	}
	if asked.Kept != nil {
		askParts(&q, asked)
	}
	if err := q.Check(); err != nil {
		return q, badRequest(wire.Detail{Detail: oneLine(err)})
	}
	err := s.env.DB.Read(r.Context(), func(tx *db.Tx) error {
		sync, err := session.ActiveSync(r.Context(), tx, asked.SyncSessionID)
		if errors.Is(err, session.ErrNotFound) || err == nil && !sync.IsServer {
			return badRequest(wire.TextNoSyncSession)
		}
		if err != nil {
			return err
		}
		return s.permit(r.Context(), tx, sync.Within(), q.Filter, false)
	})
	return q, err
}

// askParts adds what is asked about kept digests.
func askParts(q *verify.Question, asked wire.DigestRequest) {
	q.Kept = true
	for _, p := range asked.Parts {
		q.Parts = append(q.Parts, verify.Part{Partition: p.Partition, Digest: verify.NewDigest(p.Records, p.Sum)})
	}
	for _, r := range asked.Ranges {
		q.Ranges = append(q.Ranges, verify.Range{From: r[0], To: r[1]})
	}
	for _, r := range asked.PartsOf {
		q.PartsOf = append(q.PartsOf, verify.Range{From: r[0], To: r[1]})
	}
}

func keptOf(k *wire.DigestKept) *verify.Kept {
	if k == nil {
		return nil
	}
	return &verify.Kept{Digest: verify.NewDigest(k.Records, k.Sum), Partitions: k.Partitions, Complete: k.Complete}
}

// keptBody tells what is kept.
func keptBody(body *wire.DigestAnswer, a verify.Answer) {
	body.Ahead = a.Ahead
	if k := a.Kept; k != nil {
		body.Kept = &wire.DigestKept{Partitions: k.Partitions, Records: k.Records, Sum: k.Sum(), Complete: k.Complete}
	}
	for _, p := range a.Parts {
		body.Parts = append(body.Parts, wire.DigestPart{Partition: p.Partition, Records: p.Records, Sum: p.Sum()})
	}
	for _, sum := range a.Ranges {
		body.Ranges = append(body.Ranges, wire.DigestPartSum{Records: sum.Records, Sum: sum.Sum()})
	}
}

func digestBody(a verify.Answer) wire.DigestAnswer {
	body := wire.DigestAnswer{Sums: []wire.DigestSum{}, Lists: [][]wire.DigestEntry{}}
	for _, sum := range a.Sums {
		body.Sums = append(body.Sums, wire.DigestSum{Records: sum.Records, Sum: sum.Sum(), Last: sum.Last})
	}
	for _, list := range a.Lists {
		entries := make([]wire.DigestEntry, len(list))
		for i, e := range list {
			entries[i] = wire.DigestEntry{ID: e.ID, Partition: e.Partition, Instance: e.Version.Instance, Counter: e.Version.Counter, Content: e.Content}
		}
		body.Lists = append(body.Lists, entries)
	}
	keptBody(&body, a)
	if a.Claims != nil {
		body.Claims = map[string]map[string]int64{}
		for prefix, counters := range a.Claims {
			body.Claims[prefix] = counters
		}
	}
	return body
}
