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
//	'R' records   by columns, see below
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
// A record does not repeat what follows from the rest, or what was said before, and what is alike in
// many records stands side by side, so that it compresses:
//
//	records   = cursor random size size heads planes texts
//	cursor    = text: what is reached with this frame
//	random    = text: bytes of columns that are random, and after them the ids that are given, as the records
//	            need them. Whoever compresses does well to keep this part from the rest
//	size      = number: of bytes of the heads, and of the planes
//	heads     = list of the words of the frame's segments, the lists of the records, the columns of the holes
//	planes    = the other bytes of columns
//	texts     = the new segments, the texts of the holes, those that are not cut, the new models; all as they
//	            are needed, segments and models with their lengths
//	list      = number of numbers and, unless that is 0, their column
//	column    = form least [first]: numbers of 64 bits, with a sign where what they stand for can have
//	            one. form is one byte: 9 for each byte that the greatest difference to the least needs,
//	            and 1 for each of these, from the lowest on, that stands in random; the others stand in planes.
//	            First come the highest bytes of all numbers, then the next. 81 more: this is not
//	            of the numbers, but of the steps from each to the next, and the first number is given
//	least, first = as numbers, of which an odd one n stands for -(n+1)/2 and an even one for n/2
//
// The lists, in their order, each as long as the others say that it must be:
//
//	flags     = of each record
//	            1    deleted
//	            2    hard-deleted
//	            4    the id is given. Else it is the hash of partition, source id and model name,
//	                 and "${id}" in the partition stands for it
//	            8    a self-reference is given
//	            16   conflicting texts are given
//	            32   a history is given. Else it is the version alone
//	            64   the source id is an id, and given; else it is a text
//	            128  the record's texts are cut
//	model, partition, instance = of each record: words. The instance saved it last
//	counter   = of each record: at which counter of the instance
//	self      = of each self-reference: word of the ids
//	history   = of each history: the number of its entries
//	instance, counter = of each entry. These stand beside the version or in place of it; 0 says
//	            that the history does not have the instance
//	length    = of each text that is not cut
//	segment   = of each segment of the texts that are cut: its place among the frame's, from 0 on. Each of these
//	            is there at least once
//	word      = number: one more than were given, and the text or id is new, and gets this number if there is
//	            one left and it is not longer than MaxWord; else the number of one that came
//	            before. Models, partitions and instances have MaxWords numbers each, ids MaxIDs, segments
//	            MaxWords, and together maxSegments bytes, for each 16 more, and 16 for each hole. The id
//	            of a record gets the next number of the ids right after its texts, so that what refers to
//	            it is short. A frame before which all numbers of a kind were given, or segments took more
//	            than maxSegments less twice maxSegment, forgets what they stand for, and gives them anew
//
// A record needs in this order: its id, model, partition, source id, instance, self-reference, text,
// conflicting texts, history. A new partition is a text, as are a source id and the last two.
//
// A text that is cut is made of segments, up to one that ends it. In a segment some bytes stand for something:
//
//	1, 2, 3, 4  the record's id, partition, source id, self-reference
//	5           the id with which its partition ends
//	6           the end of the text
//	7           a hole for a word of the ids
//	8, 11, 12   a hole for a moment in the form "2026-03-06 04:29:25.571260", "2026-03-06T04:29:25.571260" or
//	            "2026-03-06T04:29:25.571"
//	14          a hole for a whole number in digits
//	15          a hole for a number as IEEE 754 has it in eight bytes: in the fewest digits that give it
//	            again, without an exponent. It lies between 1e-30 and 1e30, or below zero
//	16          a hole for a text
//
// All holes of a segment, from the first to the last, have a column of what stands there, wherever in the
// frame the segment is, in their order. A moment is the microseconds from the moment before it in the stream,
// or for the first from the beginning of 1970. It is of the years 1 to 9999, and where it stands for
// the form with three digits, one of whole milliseconds. Days are those of the Gregorian calendar and have
// 86,400 seconds. The column of texts is 0 and the column of their lengths, or 1 and the length of the one
// that all are. Which segments there are, and which holes, is the sender's choice: ours are what is left of
// JSON without its values, and a segment begins with each object of a list but the first.
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
	// MaxFrame bounds the payload of a frame, in bytes, and the texts of its records together.
	MaxFrame = 64 << 20
	// MaxFrameRecords bounds the records of a frame.
	MaxFrameRecords = 500
	// MaxCursor bounds a cursor, in bytes.
	MaxCursor = 200
	// MaxFrameSegments bounds the segments of the texts of a frame's records, and MaxFrameHoles
	// their holes.
	MaxFrameSegments = 1 << 16
	MaxFrameHoles    = 1 << 16
	// MaxFrameHistory bounds the entries of the histories of a frame's records.
	MaxFrameHistory = 1 << 17
	// MaxWords bounds the words of one kind that a stream numbers.
	MaxWords = 4096
	// MaxIDs is the same of the ids that stand in texts.
	MaxIDs = 1 << 15
	// MaxWord is the length of the longest word that gets a number, in bytes.
	MaxWord = 256
	// maxSegment bounds a segment, in bytes, and maxHoles the holes that we make in one.
	maxSegment = 2048
	maxHoles   = 64
	// maxSegments bounds the segments that a stream numbers, in bytes, with holeSize more for
	// each, and for each of its holes.
	maxSegments = 256 << 10
	holeSize    = 16
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
