package wire

import (
	"errors"
	"fmt"
	"hash/crc32"
)

// A stream of records
//
// Between two MoranGo peers records travel as a stream of frames: as the answer to one
// GET (pull), as the body of one POST (push), or in a file. This is version 1; Stream1 is
// the capability that announces it. On the wire a stream is compressed (zstd, see
// Compress); what is described here is its content. Numbers are unsigned and written as
// in Protocol Buffers: seven bits a byte, lowest first, the top bit set on all but the
// last. A text is its number of bytes and the bytes. An id is 16 bytes.
//
//	stream  = magic frame*
//	magic   = "MORANGO" 0x01                 the version is the last byte
//	frame   = kind length payload crc
//	kind    = one byte                       upper-case: whoever does not know it must give up;
//	                                         lower-case: it may be passed over
//	length  = number                         of the payload, in bytes, at most MaxFrame
//	crc     = 4 bytes, highest first         CRC-32C of the stream from the magic to the end of
//	                                         this payload, without the crcs: so that a frame which
//	                                         is lost, repeated or moved is noticed with the next
//
// The first frame is the header, the last says how the stream ends; what comes in between is
// good as soon as its own frame is whole.
//
//	'H' header    JSON, StreamHeader
//	'R' records   text: the cursor that is reached with this frame; length of the section in bytes and
//	              the section; number of records and the records. In the section stand the records'
//	              ids and moments one after the other, as they are needed, and nothing else. Whoever
//	              compresses does well to keep it apart from the rest
//	'p' problems  JSON, list of LeftOut: records that the sender could not send. They are told before
//	              the cursor goes past them
//	'M' more      JSON, StreamEnd: there is more, which is to be asked for from After on
//	'E' end       JSON, StreamEnd: that is all; After is CursorEnd
//
// A cursor says how far the sender has come with what it looks at for this transfer session: a text
// of at most MaxCursor bytes, all of them digits, lower-case letters and dashes. Only the sender knows
// what it means. The receiver keeps the one up to which everything has come, and asks for the rest with
// it; it compares cursors as texts. The beginning is "", CursorEnd the end. Each frame of records has a
// greater one than the one before, the header's being the first and the end's at least the last; those of
// frames of records and of 'M' are less than CursorEnd. The same record can come twice, but not in
// one frame, with different versions: it has changed and so moved to a place that the sender had not
// reached.
//
// A record does not repeat what follows from the rest, or what was said before. Where it has an
// id or a moment, that is the next of the section:
//
//	record    = flags [id] model partition source version [self] text [conflicting] [history]
//	self      = word of the ids
//	flags     = one byte
//	            1    deleted
//	            2    hard-deleted
//	            4    the id is given. Else it is the hash of partition, source id and model name,
//	                 and "${id}" in the partition stands for it
//	            8    a self-reference is given
//	            16   conflicting texts are given
//	            32   a history is given. Else it is the version alone
//	            64   the source id is an id; else it is a text
//	            128  in text and conflicting texts the bytes 1, 2, 3 and 4 stand for the record's id,
//	                 partition, source id and self-reference; 5 is followed by a word of the ids,
//	                 and stands with it for that id; 6, 7 and 8 stand for a moment in the forms
//	                 "2026-03-06 04:29:25.571260", "2026-03-06T04:29:25.571260" and
//	                 "2026-03-06T04:29:25.571"
//	model     = word of the models
//	partition = word of the partitions
//	version   = word of the instances, number: who saved it last, and at which counter
//	history   = number, and as often: word of the instances, number. These stand beside the version
//	            or in place of it; 0 says that the history does not have the instance
//	word      = number: 0, and the text or id follows and gets the next number of its kind, from 1
//	            on, if there is one and it is not longer than MaxWord; else the number of one that came
//	            before. Models, partitions and instances have MaxWords numbers each, ids MaxIDs. The id
//	            of a record gets the next number of the ids right after its texts, so that what refers to
//	            it is short. A frame
//	            of records before which all numbers of a kind were given forgets what they stand for,
//	            and gives them anew from 1 on
//	moment    = number: the microseconds from the moment before it in the stream, or for the first
//	            from the beginning of 1970; twice that, or where they are negative twice the
//	            positive number less one. A moment is of the years 1 to 9999, and where it stands for
//	            the form with three digits, one of whole milliseconds. Days are those of the Gregorian
//	            calendar and have 86,400 seconds
//
// A stream says nothing that only a peer which waits for an answer could use, so that
// it can be written to a file and read months later.
const magic = "MORANGO\x01"

// The kinds of frames.
const (
	kindHeader   = 'H'
	kindRecords  = 'R'
	kindProblems = 'p'
	kindMore     = 'M'
	kindEnd      = 'E'
)

// The flags of a record.
const (
	flagDeleted = 1 << iota
	flagHardDeleted
	flagID
	flagSelfRef
	flagConflicting
	flagHistory
	flagSourceID
	flagCut
)

// The bounds of a stream.
const (
	// MaxFrame bounds the payload of a frame, in bytes, and the texts of its records.
	MaxFrame = 64 << 20
	// MaxFrameRecords bounds the records of a frame.
	MaxFrameRecords = 500
	// MaxCursor bounds a cursor, in bytes.
	MaxCursor = 200
	// MaxFrameHistory bounds the entries of the histories of a frame's records.
	MaxFrameHistory = 1 << 17
	// MaxWords bounds the words of one kind that a stream numbers.
	MaxWords = 4096
	// MaxIDs is the same of the ids that stand in texts.
	MaxIDs = 1 << 15
	// MaxWord is the length of the longest word that gets a number, in bytes.
	MaxWord = 256
	// MaxLeftOut bounds the problems of a frame.
	MaxLeftOut = 100
	// maxHeader bounds the payload of the header and of the last frame: a claim can be long.
	maxHeader = 16 << 20
)

// StreamHeader says what a stream holds.
type StreamHeader struct {
	TransferSession string `json:"transfer_session"`
	Instance        string `json:"instance"` // that sends
	Profile         string `json:"profile"`
	Filter          string `json:"filter"` // prefixes, one a line
	// Claim is the sender's FSIC as text, made before the first record was read: when all
	// records have come, from the first on, the receiver knows as much.
	Claim string `json:"claim"`
	// After is the cursor after which the stream begins; "" is the beginning.
	After string `json:"after"`
	// Records is about how many records there are in all, from the first on; less than 0
	// where that is not known.
	Records int64 `json:"records"`
}

// StreamEnd is how a stream ends.
type StreamEnd struct {
	// After is the cursor up to which everything has come. It can lie beyond the last record.
	After string `json:"after"`
	// Records is how many records the stream held.
	Records int64 `json:"records"`
	// Claim is the sender's FSIC as text where the header had none: all that has come, from the
	// first record of the session on, is what it claims. Only where there is no more.
	Claim string `json:"claim,omitzero"`
	// More says that the sender has not come to its end: which kind of frame it was.
	More bool `json:"-"`
}

// LeftOut is a record that the sender could not send.
type LeftOut struct {
	ID     string `json:"id"`
	Model  string `json:"model"`
	Reason string `json:"reason"`
	// The version that does not travel, and so must not be claimed; "" and 0 when there is
	// none.
	Instance string `json:"instance,omitzero"`
	Counter  int64  `json:"counter,omitzero"`
	// More counts further records that are not named.
	More int64 `json:"more,omitzero"`
}

// Errors of streams.
var (
	// ErrUnencodable says that a record cannot travel in a stream. The others can.
	ErrUnencodable = errors.New("this record cannot travel in a stream")
	// ErrOrder says that the cursors of a stream do not rise.
	ErrOrder = errors.New("the cursors of a stream do not rise")
)

// CursorEnd is the cursor of a sender that has come to its end. It is greater than all others.
const CursorEnd = "z"

// ValidCursor says whether a text has the form of a cursor: "" and CursorEnd have it too.
func ValidCursor(text string) bool {
	if len(text) > MaxCursor || text > CursorEnd {
		return false
	}
	for _, c := range []byte(text) {
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// malformed is the error of a stream that breaks a rule.
func malformed(format string, args ...any) error {
	return &FormatError{Reason: "Stream parse error - " + fmt.Sprintf(format, args...)}
}
