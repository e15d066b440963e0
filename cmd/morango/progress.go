package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/stage"
)

// showProgress prints one line a stage while a sync runs: on a terminal a line that
// moves, elsewhere one when the stage is over. The returned function ends it.
func showProgress(ctx context.Context, n *morango.Node, w io.Writer) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	events := n.Events(ctx)
	go func() {
		defer close(done)
		p := progress{w: w, moving: isTerminal(w)}
		for ev := range events {
			p.show(ev)
		}
		p.finish()
	}()
	return func() { cancel(); <-done }
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// progress turns events into lines.
type progress struct {
	w       io.Writer
	moving  bool
	current morango.Event
	began   time.Time
	bar     *progressbar.ProgressBar
}

func (p *progress) show(ev morango.Event) {
	if ev.Stage == stage.Initializing || ev.Stage == stage.Cleanup {
		return
	}
	if ev.Stage != p.current.Stage || ev.TransferSession != p.current.TransferSession {
		p.finish()
		p.began, p.current = ev.Time, ev
	}
	p.current.Done, p.current.Status = max(ev.Done, p.current.Done), ev.Status
	p.current.Time = ev.Time
	if ev.Total > 0 {
		p.current.Total = ev.Total
	}
	if p.moving && ev.Status == stage.Started && ev.Done > 0 {
		p.move(ev)
	}
}

func (p *progress) move(ev morango.Event) {
	if p.bar == nil {
		total := ev.Total
		if total == 0 {
			total = -1
		}
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(p.name()),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("records"),
			progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetWidth(20),
		)
	}
	_ = p.bar.Set64(ev.Done) // a terminal that cannot show it is no reason to stop
}

// finish ends the current stage's line.
func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
	ev := p.current
	if ev.Stage == "" {
		return
	}
	took := ev.Time.Sub(p.began)
	line := fmt.Sprintf("%s  %s in %s", p.name(), plural(ev.Done, "record"), duration(took))
	if ev.Done > 0 && took > 10*time.Millisecond {
		line += fmt.Sprintf(", %s a second", count(int64(float64(ev.Done)/took.Seconds())))
	}
	if ev.Status != stage.Completed {
		line += "; " + string(ev.Status)
	}
	if ev.Done > 0 || ev.Status != stage.Completed {
		fmt.Fprintln(p.w, line)
	}
	p.current = morango.Event{}
}

func (p *progress) name() string {
	direction := "pull"
	if p.current.Push {
		direction = "push"
	}
	return fmt.Sprintf("%s  %-13s", direction, p.current.Stage)
}

// count writes a number with thousands apart.
func count(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// plural writes a number of things; name is one of them.
func plural(n int64, name string) string {
	if n != 1 {
		name += "s"
	}
	return count(n) + " " + name
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

func duration(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
