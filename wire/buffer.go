package wire

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/record"
)

// FromRecord puts a record into the form in which it travels in the transfer
// session. The history stands in order of instance ids.
func FromRecord(transferSession string, r record.Record) BufferRecord {
	b := BufferRecord{
		Serialized:        r.Serialized,
		Deleted:           r.Deleted,
		LastSavedInstance: r.Version.Instance,
		LastSavedCounter:  r.Version.Counter,
		HardDeleted:       r.HardDeleted,
		Partition:         r.Partition,
		SourceID:          r.SourceID,
		ModelName:         r.Model,
		Conflicting:       r.Conflicting,
		ModelUUID:         r.ID,
		TransferSession:   transferSession,
		Profile:           r.Profile,
		RMCBList:          make([]BufferCounter, 0, len(r.History)),
		SelfRef:           r.SelfRef,
	}
	for _, instance := range slices.Sorted(maps.Keys(r.History)) {
		b.RMCBList = append(b.RMCBList, BufferCounter{
			TransferSession: transferSession, ModelUUID: r.ID, InstanceID: instance, Counter: r.History[instance],
		})
	}
	return b
}

// Record is the record that travelled. It is not checked beyond what the decoder
// saw: record.Check does that.
func (b BufferRecord) Record() record.Record {
	r := record.Record{
		ID:          b.ModelUUID,
		Profile:     b.Profile,
		Model:       b.ModelName,
		Partition:   b.Partition,
		SourceID:    b.SourceID,
		Serialized:  b.Serialized,
		Conflicting: b.Conflicting,
		SelfRef:     b.SelfRef,
		Deleted:     b.Deleted,
		HardDeleted: b.HardDeleted,
		Version:     counter.Version{Instance: b.LastSavedInstance, Counter: b.LastSavedCounter},
		History:     make(counter.Counters, len(b.RMCBList)),
	}
	for _, c := range b.RMCBList {
		r.History[c.InstanceID] = c.Counter
	}
	return r
}

// Append writes the record as compact JSON to the end of dst, byte for byte as
// the reference's server does.
func (b BufferRecord) Append(dst []byte) []byte {
	dst = appendText(append(dst, `{"serialized":`...), b.Serialized)
	dst = strconv.AppendBool(append(dst, `,"deleted":`...), b.Deleted)
	dst = appendText(append(dst, `,"last_saved_instance":`...), b.LastSavedInstance)
	dst = strconv.AppendInt(append(dst, `,"last_saved_counter":`...), b.LastSavedCounter, 10)
	dst = strconv.AppendBool(append(dst, `,"hard_deleted":`...), b.HardDeleted)
	dst = appendText(append(dst, `,"partition":`...), b.Partition)
	dst = appendText(append(dst, `,"source_id":`...), b.SourceID)
	dst = appendText(append(dst, `,"model_name":`...), b.ModelName)
	dst = appendText(append(dst, `,"conflicting_serialized_data":`...), b.Conflicting)
	dst = appendText(append(dst, `,"model_uuid":`...), b.ModelUUID)
	dst = appendText(append(dst, `,"transfer_session":`...), b.TransferSession)
	dst = appendText(append(dst, `,"profile":`...), b.Profile)
	dst = append(dst, `,"rmcb_list":[`...)
	for i, c := range b.RMCBList {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(append(dst, `{"transfer_session":`...), c.TransferSession)
		dst = appendText(append(dst, `,"model_uuid":`...), c.ModelUUID)
		dst = appendText(append(dst, `,"instance_id":`...), c.InstanceID)
		dst = strconv.AppendInt(append(dst, `,"counter":`...), c.Counter, 10)
		dst = append(dst, '}')
	}
	dst = appendText(append(dst, `],"_self_ref_fk":`...), b.SelfRef)
	return append(dst, '}')
}

// MarshalJSONTo writes the record with Append.
func (b BufferRecord) MarshalJSONTo(enc *jsontext.Encoder) error {
	return enc.WriteValue(b.Append(nil))
}

// AppendBuffers writes records as a JSON list: the body of a POST of buffers, and
// of the answer to a GET without a limit.
func AppendBuffers(dst []byte, transferSession string, records []record.Record) []byte {
	dst = append(dst, '[')
	for i, r := range records {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = FromRecord(transferSession, r).Append(dst)
	}
	return append(dst, ']')
}

// appendText appends a JSON string. Invalid UTF-8, which the engine never keeps,
// would become U+FFFD.
func appendText(dst []byte, text string) []byte {
	quoted, err := jsontext.AppendQuote(dst, text)
	if err != nil {
		return appendText(dst, string(bytes.ToValidUTF8([]byte(text), []byte("\uFFFD"))))
	}
	return quoted
}

// ParseBuffers reads the body of a POST of buffers: a list of records, at most
// limit of them, or one record alone. More is ErrTooLarge.
func ParseBuffers(r io.Reader, limit int) ([]BufferRecord, error) {
	d := newDecoder(r)
	var records []BufferRecord
	if d.peek() == '[' {
		records = d.records(limit)
	} else {
		records = []BufferRecord{d.record()}
	}
	d.end()
	if d.err != nil {
		return nil, d.err
	}
	if len(records) == 0 {
		return nil, &FormatError{Reason: "Invalid data. Expected at least one record."}
	}
	return records, nil
}

// ParseBufferPage reads the answer to a GET of buffers with a limit, of at most
// limit records.
func ParseBufferPage(r io.Reader, limit int) (BufferPage, error) {
	d := newDecoder(r)
	var page BufferPage
	d.object("", func(name string) bool {
		switch name {
		case "count":
			page.Count = d.integer(name)
		case "next":
			page.Next = d.optionalText(name)
		case "previous":
			page.Previous = d.optionalText(name)
		case "results":
			page.Results = d.records(limit)
		default:
			return false
		}
		return true
	}, "count", "results")
	d.end()
	return page, d.err
}
