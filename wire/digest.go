package wire

import (
	"fmt"

	"github.com/morango-go/morango/ident"
)

// PathDigests takes questions about what a peer holds, within a sync session, by POST.
// It is there between peers with the capability PartitionDigests.
const PathDigests = Base + "digests/"

// DigestSpan is a range of record ids, both ends included.
type DigestSpan [2]string

// DigestRequest asks for the sums of ranges of records, or for lists of them, within a
// filter that the certificates of the sync session allow to be pulled.
type DigestRequest struct {
	SyncSessionID string       `json:"sync_session_id"`
	Filter        string       `json:"filter"` // prefixes, one a line
	Sums          []DigestSpan `json:"sums,omitempty"`
	Lists         []DigestSpan `json:"lists,omitempty"`
	Claims        bool         `json:"claims,omitempty"` // also the database max counters around the filter
	Brief         bool         `json:"brief,omitempty"`  // after a sync: few records are read
	// Expect has the client's own sums. When the server's are the same, it closes the
	// sync session, which saves the client a request.
	Expect []DigestSum `json:"expect,omitempty"`
	// Lost and Damaged tell the server what the client has found, for its log.
	Lost    int64 `json:"lost,omitempty"`
	Damaged int64 `json:"damaged,omitempty"`
}

// DigestAnswer answers as many of the ranges as were asked after and as the server's
// limits allow, in order.
type DigestAnswer struct {
	Sums   []DigestSum                 `json:"sums"`
	Lists  [][]DigestEntry             `json:"lists"`
	Claims map[string]map[string]int64 `json:"claims,omitempty"` // partition to instance to counter
	Closed bool                        `json:"closed"`           // the sums were those expected, and the sync session is closed
}

// DigestSum sums up the records of a range up to the id Last.
type DigestSum struct {
	Records int64  `json:"records"`
	Sum     string `json:"sum"` // 32 hex digits
	Last    string `json:"last"`
}

// DigestEntry is one record: its version and a hash of its content.
type DigestEntry struct {
	ID        string `json:"id"`
	Partition string `json:"partition"`
	Instance  string `json:"instance"`
	Counter   int64  `json:"counter"`
	Content   string `json:"content"` // 32 hex digits
}

// ParseDigestRequest reads the body of a POST of digests.
func ParseDigestRequest(text []byte) (DigestRequest, error) {
	var body DigestRequest
	if err := parse(text, presence{required: []string{"sync_session_id", "filter"}}, &body); err != nil {
		return body, err
	}
	if err := canonical(map[string]*string{"sync_session_id": &body.SyncSessionID}); err != nil {
		return body, err
	}
	if body.Lost < 0 || body.Damaged < 0 {
		return body, FieldErrors{"lost": {"Ensure this value is greater than or equal to 0."}}
	}
	return body, checkSums(body.Expect)
}

// Check refuses an answer that is malformed.
func (a DigestAnswer) Check() error {
	if err := checkSums(a.Sums); err != nil {
		return err
	}
	for _, list := range a.Lists {
		for _, e := range list {
			if !ident.Valid(e.ID) || !ident.Valid(e.Instance) || !ident.Valid(e.Content) || e.Counter < 0 || e.Counter > maxCount {
				return &FormatError{Reason: fmt.Sprintf("record %.40q is listed with an instance, counter or content that is none", e.ID)}
			}
		}
	}
	for _, counters := range a.Claims {
		for instance, n := range counters {
			if !ident.Valid(instance) || n < 0 || n > maxCount {
				return &FormatError{Reason: fmt.Sprintf("the claim about instance %.40q up to %d is none", instance, n)}
			}
		}
	}
	return nil
}

func checkSums(sums []DigestSum) error {
	for _, s := range sums {
		if !ident.Valid(s.Sum) || !ident.Valid(s.Last) || s.Records < 0 {
			return &FormatError{Reason: fmt.Sprintf("%.40q is no sum of records", s.Sum)}
		}
	}
	return nil
}
