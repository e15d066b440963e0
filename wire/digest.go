package wire

import (
	"errors"
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
	Whole         bool         `json:"whole,omitempty"`  // the filter's prefixes are partitions of which all is wanted
	// Covered restricts sums and lists to records whose versions these claims cover; without
	// it all are meant. Lists then hold the records of IDs too, whatever their versions.
	Covered map[string]map[string]int64 `json:"covered,omitempty"` // partition to instance to counter
	IDs     []string                    `json:"ids,omitempty"`
	// Kept is what the client expects the server's kept digests of the filter's partitions
	// to sum up to; null where the client keeps none, and then it asks for none.
	Kept    *DigestKept       `json:"kept,omitempty"`
	Parts   []DigestPart      `json:"parts,omitempty"`    // kept digests to be compared with the server's
	Ranges  []DigestPartRange `json:"ranges,omitempty"`   // of partitions, whose kept digests are summed up
	PartsOf []DigestPartRange `json:"parts_of,omitempty"` // of partitions, whose kept digests are listed
	// Expect has the client's own sums. When the server's are the same, and what it keeps
	// is as expected, it closes the sync session, which saves the client a request.
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
	Kept   *DigestKept                 `json:"kept,omitempty"`   // absent where no digests are kept
	Parts  []DigestPart                `json:"parts,omitempty"`  // those asked after that are not the same, and those listed
	Ranges []DigestPartSum             `json:"ranges,omitempty"`
	// Ahead says that records are here that the client does not have, by Covered: then sums
	// of whole partitions that are not the same say nothing.
	Ahead bool `json:"ahead,omitempty"`
}

// DigestKept is what the digests sum up to that a peer keeps of partitions.
type DigestKept struct {
	Partitions int64  `json:"partitions"`
	Records    int64  `json:"records"`
	Sum        string `json:"sum"`      // 32 hex digits
	Complete   bool   `json:"complete"` // no partition has yet to be summed up
}

// DigestPart is one partition with the sum of its records.
type DigestPart struct {
	Partition string `json:"partition"`
	Records   int64  `json:"records"`
	Sum       string `json:"sum"` // 32 hex digits
}

// DigestPartSum is the sum of the records of several partitions.
type DigestPartSum struct {
	Records int64  `json:"records"`
	Sum     string `json:"sum"` // 32 hex digits
}

// DigestPartRange is the partitions from the first up to, but without, the second, in the
// order of code points; as the second "" is the end.
type DigestPartRange [2]string

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
	for _, id := range body.IDs {
		if !ident.Valid(id) {
			return body, FieldErrors{"ids": {"Enter 32 hex digits each."}}
		}
	}
	return body, errors.Join(checkSums(body.Expect), checkKept(body.Kept, body.Parts, nil), checkCounters(body.Covered))
}

// Check refuses an answer that is malformed.
func (a DigestAnswer) Check() error {
	if err := errors.Join(checkSums(a.Sums), checkKept(a.Kept, a.Parts, a.Ranges)); err != nil {
		return err
	}
	for _, list := range a.Lists {
		for _, e := range list {
			if !ident.Valid(e.ID) || !ident.Valid(e.Instance) || !ident.Valid(e.Content) || e.Counter < 0 || e.Counter > maxCount {
				return &FormatError{Reason: fmt.Sprintf("record %.40q is listed with an instance, counter or content that is none", e.ID)}
			}
		}
	}
	return checkCounters(a.Claims)
}

// checkCounters refuses claims that are none.
func checkCounters(claims map[string]map[string]int64) error {
	for _, counters := range claims {
		for instance, n := range counters {
			if !ident.Valid(instance) || n < 0 || n > maxCount {
				return &FormatError{Reason: fmt.Sprintf("the claim about instance %.40q up to %d is none", instance, n)}
			}
		}
	}
	return nil
}

// checkKept refuses sums of partitions that are none.
func checkKept(kept *DigestKept, parts []DigestPart, sums []DigestPartSum) error {
	if kept != nil {
		sums = append(sums, DigestPartSum{kept.Records, kept.Sum})
		if kept.Partitions < 0 || kept.Partitions > kept.Records {
			return &FormatError{Reason: fmt.Sprintf("%d partitions are said to have %d records", kept.Partitions, kept.Records)}
		}
	}
	for _, p := range parts {
		sums = append(sums, DigestPartSum{p.Records, p.Sum})
	}
	for _, s := range sums {
		if !ident.Valid(s.Sum) || s.Records < 0 || s.Records > maxCount {
			return &FormatError{Reason: fmt.Sprintf("%.40q of %d is no sum of records", s.Sum, s.Records)}
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
