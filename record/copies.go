package record

import (
	"slices"
	"strings"
)

// What a record keeps of copies that lost a conflict. More than a person would look
// through is dropped, the oldest first; the first is kept whatever its size.
const (
	mostCopies    = 20
	mostCopyBytes = 1 << 20
)

// copies are the conflicting texts of a merged record: those of both sides, and what
// was lost now. As a set in a fixed order, whoever merges gets the same; what is the
// record's own text is no copy. Where one side deleted the record, the text of the
// other is one even then: its author may not want it deleted.
func (r Rule) copies(merged, mine, theirs Record, lost []string) string {
	all := slices.Concat(Copies(mine.Conflicting), Copies(theirs.Conflicting))
	for _, text := range lost {
		all = append(all, Bare(text))
	}
	switch {
	case mine.Deleted && !theirs.Deleted:
		all = append(all, Bare(theirs.Serialized))
	case theirs.Deleted && !mine.Deleted:
		all = append(all, Bare(mine.Serialized))
	}
	own := Bare(merged.Serialized)
	all = slices.DeleteFunc(all, func(text string) bool {
		return text == "" || text == "{}" || text == own && !merged.Deleted
	})
	slices.SortFunc(all, func(a, b string) int { return r.compare(b, a) })
	var out strings.Builder
	for i, text := range slices.Compact(all) {
		if i == mostCopies || i > 0 && out.Len()+len(text) > mostCopyBytes {
			break
		}
		out.WriteString(text + "\n")
	}
	return out.String()
}

// Copies returns the texts that lost a conflict, newest first where the reference
// rule put them there, from a record's conflicting text.
func Copies(conflicting string) []string {
	var all []string
	for rest := conflicting; rest != ""; {
		s := scanner{text: rest}
		err := s.skip(0)
		for s.pos < len(rest) && (rest[s.pos] == ' ' || rest[s.pos] == '\r' || rest[s.pos] == '\t') {
			s.pos++
		}
		end := s.pos
		if err != nil || end < len(rest) && rest[end] != '\n' { // no JSON: then it is a line
			if end = strings.IndexByte(rest, '\n'); end < 0 {
				end = len(rest)
			}
		}
		if text := strings.TrimSpace(rest[:end]); text != "" {
			all = append(all, text)
		}
		rest = rest[min(end+1, len(rest)):]
	}
	return all
}

// Bare is a record's text as it is kept among the copies: in one line and in one
// spelling, and without what only the merging of fields needs.
func Bare(text string) string {
	list, err := members(text)
	if err != nil {
		return strings.TrimSpace(strings.NewReplacer("\n", " ", "\r", " ").Replace(text))
	}
	if at := find(list, fieldsKey); at >= 0 {
		list = slices.Delete(list, at, at+1)
	}
	return write(list)
}
