//go:build linux

package crashtest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// hopes are what applications changed: by record and side the texts that they gave it,
// and how many of them are known to be committed.
type hopes struct {
	mu  sync.Mutex
	all map[string]map[string]*hope
}

type hope struct {
	tried []string
	sure  int // of tried
}

func newHopes() *hopes { return &hopes{all: map[string]map[string]*hope{}} }

// of hears what a side's application tells.
func (h *hopes) of(side string) func(word, id, text string) {
	return func(word, id, text string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.all[id] == nil {
			h.all[id] = map[string]*hope{}
		}
		one := h.all[id][side]
		if one == nil {
			one = &hope{}
			h.all[id][side] = one
		}
		if word == "try" {
			one.tried = append(one.tried, text)
			for other, begun := range h.all[id] { // what both began with the other side had seen
				if other != side && begun.tried[len(begun.tried)-1] == began {
					delete(h.all[id], other)
				}
			}
		} else {
			one.sure = len(one.tried)
		}
	}
}

// allowed are the texts that a record may end with: the last that is sure, or one that
// may have been committed since; of either side, where both changed it at once.
func (h *hopes) allowed(id string) (texts []string) {
	for _, one := range h.all[id] {
		texts = append(texts, one.tried[max(one.sure-1, 0):]...)
	}
	return texts
}

// check holds the rows of a side against what was hoped, and against what its store
// keeps of conflicts. own says that only the side's own changes can be there yet.
func (h *hopes) check(s *state, own string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, sides := range h.all {
		if own != "" && sides[own] == nil {
			continue
		}
		text, there := s.rows[id]
		if !there {
			text = gone
		}
		sure := false
		for side, one := range sides {
			sure = sure || one.sure > 0 && (own == "" || own == side)
		}
		if sure && !slices.Contains(h.allowed(id), text) {
			return fmt.Errorf("%s has %q for record %s, which must be one of %q", s.side, text, id, h.allowed(id))
		}
		if own != "" || len(sides) < 2 {
			continue
		}
		stored := s.records[id]
		for side, one := range sides {
			// Both sides changed it before they met: each text is there, or among what lost.
			if one.sure > 0 && !strings.Contains(stored.Serialized+stored.Conflicting, `"`+one.tried[one.sure-1]+" ") {
				return fmt.Errorf("%s has lost %q of %s in record %s: %+v", s.side, one.tried[one.sure-1], side, id, stored)
			}
		}
	}
	return nil
}

// version is one save of one record, and content what it stands for.
type (
	version struct {
		id, instance string
		counter      int64
	}
	content struct {
		Serialized, Conflicting string
		Deleted, Hard           bool
	}
)

// versions are all that anybody was seen to hold.
type versions map[version]content

// see notes the versions of a side; none may stand for two contents.
func (v versions) see(s *state) error {
	for id, r := range s.records {
		one := version{id, r.instance, r.counter}
		if known, ok := v[one]; ok && known != r.content {
			return fmt.Errorf("version %v was\n\t%+v\nand on %s is\n\t%+v", one, known, s.side, r.content)
		}
		v[one] = r.content
	}
	return nil
}
