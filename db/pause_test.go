package db

import (
	"testing"
	"time"
)

// Who has held the database pauses; who has just come does not, and no pause is twice.
func TestWhoPauses(t *testing.T) {
	long := func() *parts { // its pause lasts until an hour from now
		return &parts{held: time.Second, ended: time.Now().Add(time.Hour), jobs: map[any]bool{"long": true}}
	}
	p := long()
	if rest := p.pause("short"); rest != 0 {
		t.Errorf("a job that has just come has to wait for %v", rest)
	}
	if rest := p.pause("long"); rest < time.Hour {
		t.Errorf("a long job waits for %v", rest)
	}
	if rest := p.pause("long"); rest != 0 {
		t.Errorf("after its pause it waits for %v again", rest)
	}
	p = long()
	p.held = heldAlone - 1
	if rest := p.pause("long"); rest != 0 {
		t.Errorf("a job that has not held the database for long waits for %v", rest)
	}
	p.others = time.Now()
	if rest := p.pause("long"); rest < time.Hour {
		t.Errorf("where others write it waits for %v", rest)
	}
}
