package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/client"
	"github.com/morango-go/morango/stage"
)

// showProgress prints one line a stage while a sync runs: on a terminal a line that
// moves, elsewhere one when the stage is over. The returned function ends it.
func showProgress(ctx context.Context, n *morango.Node, w io.Writer) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	events, feed, done := n.Events(ctx), make(chan morango.Event), make(chan struct{})
	go func() {
		defer close(feed)
		for ev := range events {
			feed <- ev
		}
	}()
	go func() {
		defer close(done)
		p := progress{w: w, width: terminalWidth(w)}
		redraw := time.NewTicker(200 * time.Millisecond)
		defer redraw.Stop()
		for {
			select {
			case ev, open := <-feed:
				if !open {
					p.finish()
					return
				}
				p.show(ev)
			case <-redraw.C:
				p.draw(time.Now())
			}
		}
	}()
	return func() { cancel(); <-done }
}

// terminalWidth is 0 for what is no terminal.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 80
	}
	return width
}

// progress turns events into lines.
type progress struct {
	w       io.Writer
	width   int           // of the terminal; 0 is none
	current morango.Event // the newest of the stage that is shown; none before the first
	began   time.Time     // of that stage
	before  int64         // records that were done when it began
}

// show takes an event in.
func (p *progress) show(ev morango.Event) {
	if ev.Err != nil && ev.Stage == "" {
		p.finish()
		if errors.Is(ev.Err, client.ErrBusy) {
			fmt.Fprintln(p.w, "The peer is busy; trying again when it said.")
		} else {
			fmt.Fprintln(p.w, "The connection broke; trying again.")
		}
		return
	}
	if ev.Stage == stage.Initializing || ev.Stage == stage.Cleanup {
		return
	}
	same := ev.Stage == p.current.Stage && ev.Peer == p.current.Peer && ev.TransferSession == p.current.TransferSession
	if !same {
		if ev.TransferSession == p.current.TransferSession && p.current.Stage.Before(ev.Stage) {
			p.current.Status = stage.Completed // or the session would not be further
		}
		p.finish()
		p.current, p.began, p.before = ev, ev.Time, ev.Done
		return
	}
	ev.Done, ev.Total = max(ev.Done, p.current.Done), max(ev.Total, p.current.Total)
	p.current = ev
}

// draw shows how far the current stage is, on a terminal.
func (p *progress) draw(now time.Time) {
	if p.width == 0 || p.current.Stage == "" {
		return
	}
	line := []rune(p.name() + p.state(now.Sub(p.began)))
	fmt.Fprintf(p.w, "\r\x1b[K%s", string(line[:min(len(line), p.width-1)]))
}

// state is the text of a stage that runs for so long.
func (p *progress) state(took time.Duration) string {
	ev := p.current
	if ev.Peer {
		return "at the peer for " + seconds(took)
	}
	text := count(ev.Done)
	if ev.Total > 0 {
		text += " of " + count(ev.Total)
	}
	rate := p.rate(took)
	if rate <= 0 {
		return text + ", " + seconds(took)
	}
	text += fmt.Sprintf(", %s a second", count(int64(rate)))
	if left := ev.Total - ev.Done; left > 0 {
		text += fmt.Sprintf(", %s left", seconds(time.Duration(float64(left)/rate*float64(time.Second))))
	}
	return text
}

// rate is in records a second; 0 while it makes no sense.
func (p *progress) rate(took time.Duration) float64 {
	if took < 10*time.Millisecond {
		return 0
	}
	return float64(p.current.Done-p.before) / took.Seconds()
}

// finish ends the current stage's line. A stage that had nothing to do has none, nor
// has one that the peer did at once, nor dequeuing of what was merged while it came.
func (p *progress) finish() {
	ev := p.current
	if ev.Stage == "" {
		return
	}
	if p.width > 0 {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	p.current = morango.Event{}
	took := ev.Time.Sub(p.began)
	complete := ev.Status == stage.Completed || ev.Stage == stage.Transferring && ev.Done == ev.Total
	const noticeable = 200 * time.Millisecond
	if complete && ev.Done == 0 && (!ev.Peer || took < noticeable) {
		return
	}
	if complete && !ev.Peer && ev.Stage == stage.Dequeuing && took < noticeable/20 {
		return
	}
	p.current = ev
	line := p.name()
	switch {
	case !ev.Peer:
		line += plural(ev.Done, "record") + " in " + duration(took)
		if rate := p.rate(took); rate > 0 {
			line += fmt.Sprintf(", %s a second", count(int64(rate)))
		}
	case ev.Total > 0:
		line += plural(ev.Total, "record") + " at the peer in " + duration(took)
	default:
		line += "at the peer in " + duration(took)
	}
	if !complete {
		line += "; not finished"
	}
	fmt.Fprintln(p.w, line)
	p.current = morango.Event{}
}

func (p *progress) name() string {
	direction := "pull"
	if p.current.Push {
		direction = "push"
	}
	return fmt.Sprintf("%s  %-13s  ", direction, p.current.Stage)
}
