package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/morango-go/morango/server"
	"github.com/morango-go/morango/verify"
	"github.com/morango-go/morango/wire"
)

// digests is the body of a question.
func digests(sync, filter, more string) string {
	return fmt.Sprintf(`{"sync_session_id": %q, "filter": %q%s}`, sync, filter, more)
}

// What is asked about digests must be sound, small, and within what may be pulled.
func TestDigestsAreForThoseWhoMayPull(t *testing.T) {
	onEngines(t, nil, func(t *testing.T, p *peer) {
		all := verify.Everything()
		span := fmt.Sprintf(`[%q, %q]`, all.First, all.Last)
		ask := func(status int, part, body string) {
			t.Helper()
			p.want(t, status, part, http.MethodPost, wire.PathDigests, body)
		}
		ask(http.StatusOK, `"sums":[{"records":`, digests(syncID, root, `, "sums": [`+span+`]`))
		ask(http.StatusOK, `"lists":[[`, digests(syncID, root, `, "lists": [`+span+`], "claims": true`))
		ask(http.StatusOK, `"lists":[[]]`, digests(syncID, root, `, "lists": [`+span+`], "covered": {"": {}}`)) // nothing is covered
		ask(http.StatusOK, `"records":0`, digests(syncID, root, `, "sums": [`+span+`], "covered": {`+manyClaims(1000)+`}`))
		before := p.dump(t)
		for _, c := range []struct {
			status int
			body   string
		}{
			{http.StatusForbidden, digests(syncID, "", `, "sums": [`+span+`]`)},
			{http.StatusForbidden, digests(syncID, root[:31], `, "lists": [`+span+`]`)},
			{http.StatusForbidden, digests(syncID, root+"\n"+strings.Repeat("b", 32), `, "claims": true`)},
			{http.StatusBadRequest, digests(strings.Repeat("c", 32), root, `, "sums": [`+span+`]`)},
			{http.StatusBadRequest, digests("", root, "")},
			{http.StatusBadRequest, digests(syncID, root+"\x00", "")},
			{http.StatusBadRequest, digests(syncID, strings.Repeat(root+"\n", 2000), "")},
			{http.StatusBadRequest, digests(syncID, root, `, "sums": [["0", "f"]]`)},
			{http.StatusBadRequest, digests(syncID, root, `, "sums": [["`+all.Last+`", "`+all.First+`"]]`)},
			{http.StatusBadRequest, digests(syncID, root, `, "lists": [["' OR 1=1 --", "`+all.Last+`"]]`)},
			{http.StatusBadRequest, digests(syncID, root, `, "sums": [`+span+strings.Repeat(","+span, verify.MaxSpans)+`]`)},
			{http.StatusBadRequest, digests(syncID, root, `, "sums": [["a"]]`)},
			{http.StatusBadRequest, digests(syncID, root, `, "expect": [{"records": 1, "sum": "x", "last": "y"}]`)},
			{http.StatusBadRequest, digests(syncID, root, `, "lost": -1`)},
			{http.StatusBadRequest, digests(syncID, root, `, "covered": {"a": {"x": 1}}`)},
			{http.StatusBadRequest, digests(syncID, root, `, "covered": {"a": {"`+root+`": -1}}`)},
			{http.StatusBadRequest, digests(syncID, root, `, "covered": {`+manyClaims(1001)+`}`)},
			{http.StatusBadRequest, digests(syncID, root, `, "ids": ["x"]`)},
			{http.StatusBadRequest, digests(syncID, root, `, "ids": ["`+root+`"`+strings.Repeat(`, "`+root+`"`, 1024)+`]`)},
			{http.StatusBadRequest, `{"sync_session_id": 7, "filter": []}`},
			{http.StatusBadRequest, `[]`},
			{http.StatusBadRequest, `{`},
		} {
			ask(c.status, "", c.body)
		}
		if after := p.dump(t); after != before {
			t.Error("a refused question changed the database")
		}
		p.want(t, http.StatusMethodNotAllowed, "", http.MethodGet, wire.PathDigests, "")
		// Sums that are not ours leave the session open, ours close it.
		wrong := fmt.Sprintf(`, "sums": [%s], "expect": [{"records": 1, "sum": %q, "last": %q}]`, span, all.First, all.Last)
		ask(http.StatusOK, `"closed":false`, digests(syncID, root, wrong))
		text := p.want(t, http.StatusOK, "", http.MethodPost, wire.PathDigests, digests(syncID, root, `, "sums": [`+span+`]`))
		sums := strings.Split(strings.Split(text, `"sums":`)[1], `,"lists"`)[0]
		ask(http.StatusOK, `"closed":true`, digests(syncID, root, `, "sums": [`+span+`], "expect": `+sums))
		ask(http.StatusBadRequest, "", digests(syncID, root, `, "sums": [`+span+`]`))
	})
	onEngines(t, func(c *server.Config) { c.Hide = []wire.Capability{wire.PartitionDigests} }, func(t *testing.T, p *peer) {
		p.want(t, http.StatusNotFound, "", http.MethodPost, wire.PathDigests, digests(syncID, root, ""))
	})
}

// manyClaims are claims about partitions that nobody has.
func manyClaims(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"none%d": {%q: 1}`, i, root))
	}
	return strings.Join(all, ", ")
}

// What is asked about kept digests is bounded and stays within what may be pulled too.
func TestKeptDigestsAreForThoseWhoMayPull(t *testing.T) {
	onEngines(t, nil, func(t *testing.T, p *peer) {
		zero := verify.Everything().First
		kept := fmt.Sprintf(`, "kept": {"partitions": 0, "records": 0, "sum": %q, "complete": true}`, zero)
		part := fmt.Sprintf(`{"partition": "p", "records": 1, "sum": %q}`, zero)
		p.want(t, http.StatusOK, `"sums":[]`, http.MethodPost, wire.PathDigests, digests(syncID, root, kept+`, "parts_of": [["", ""]]`))
		before := p.dump(t)
		for _, c := range []struct {
			status int
			more   string
		}{
			{http.StatusBadRequest, kept + `, "parts_of": [["", ""], ["", ""], ["", ""]]`},
			{http.StatusBadRequest, kept + `, "ranges": [["", ""], ["", ""]]`},
			{http.StatusBadRequest, kept + `, "ranges": [["b", "c"], ["a", ""]]`},
			{http.StatusBadRequest, kept + `, "ranges": [["a\u0000", "b"]]`},
			{http.StatusBadRequest, kept + `, "ranges": [["` + strings.Repeat("a", 5000) + `", ""]]`},
			{http.StatusBadRequest, kept + `, "parts": [` + strings.Repeat(part+", ", 64) + part + `]`},
			{http.StatusBadRequest, kept + `, "parts": [{"partition": "p", "records": -1, "sum": "x"}]`},
			{http.StatusBadRequest, strings.Replace(kept, `"records": 0`, `"records": -1`, 1)},
		} {
			p.want(t, c.status, "", http.MethodPost, wire.PathDigests, digests(syncID, root, c.more))
		}
		p.want(t, http.StatusForbidden, "", http.MethodPost, wire.PathDigests, digests(syncID, "", kept+`, "parts_of": [["", ""]]`))
		if p.dump(t) != before {
			t.Error("a refused question changed the database")
		}
	})
}
