package counter_test

import (
	"encoding/json"
	"testing"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/internal/conformance"
	"github.com/morango-go/morango/partition"
)

func TestConformanceFSIC(t *testing.T) {
	checks := map[string]func(*conformance.T, conformance.Case){
		"remove_redundant": checkReduce, "expand": checkExpand, "diff_v1": checkDiffLegacy,
		"diff_v2": checkDiff, "chunk_v2": checkChunk, "pipeline_v2": checkPipeline,
	}
	conformance.Run(t, "fsic", func(t *conformance.T, c conformance.Case) {
		check, ok := checks[c.Kind]
		if !ok {
			t.Fatalf("unknown kind %q", c.Kind)
		}
		check(t, c)
	})
}

// parse reads an FSIC of a case as one from the wire, and proves that its text says
// the same.
func parse(t *conformance.T, raw json.RawMessage) counter.FSIC {
	t.Helper()
	f, err := counter.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	t.EqualJSON("text of the parsed FSIC", json.RawMessage(f.String()), raw)
	return f
}

func checkReduce(t *conformance.T, c conformance.Case) {
	f := parse(t, c.Input)
	t.EqualJSON("reduced", f.Reduce(), c.Expected)
	t.EqualJSON("the FSIC afterwards", f, c.Input)
}

func checkExpand(t *conformance.T, c conformance.Case) {
	var in struct {
		Raw    json.RawMessage
		Filter []string
	}
	t.Decode(c.Input, &in)
	f := parse(t, in.Raw)
	t.EqualJSON("expanded", f.Expand(partition.Of(in.Filter...)), c.Expected)
	t.EqualJSON("the FSIC afterwards", f, in.Raw)
}

func checkDiffLegacy(t *conformance.T, c conformance.Case) {
	var in struct{ Sender, Receiver counter.Counters }
	t.Decode(c.Input, &in)
	t.EqualJSON("difference", counter.DiffLegacy(in.Sender, in.Receiver), c.Expected)
}

func checkDiff(t *conformance.T, c conformance.Case) {
	var in struct{ Sender, Receiver counter.ByPartition }
	t.Decode(c.Input, &in)
	t.EqualJSON("difference", counter.Diff(in.Sender, in.Receiver), c.Expected)
}

func checkChunk(t *conformance.T, c conformance.Case) {
	var in struct {
		FSICs     counter.ByPartition
		ChunkSize int `json:"chunk_size"`
	}
	t.Decode(c.Input, &in)
	chunks := counter.Chunk(in.FSICs, in.ChunkSize)
	if chunks == nil {
		chunks = []counter.ByPartition{}
	}
	t.EqualJSON("chunks", chunks, c.Expected)
}

func checkPipeline(t *conformance.T, c conformance.Case) {
	var in struct {
		Sender   json.RawMessage `json:"sender_raw"`
		Receiver json.RawMessage `json:"receiver_raw"`
		Filter   []string
	}
	t.Decode(c.Input, &in)
	filter := partition.Of(in.Filter...)
	sender, receiver := parse(t, in.Sender).Reduce(), parse(t, in.Receiver).Reduce()
	t.EqualJSON("all steps", map[string]any{
		"sender_reduced": sender, "receiver_reduced": receiver,
		"sender_expanded": sender.Expand(filter), "receiver_expanded": receiver.Expand(filter),
		"diff": counter.Diff(sender.Expand(filter), receiver.Expand(filter)),
	}, c.Expected)
}
