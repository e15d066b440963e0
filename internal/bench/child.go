package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"github.com/morango-go/morango"
)

// orderVariable holds, in a process that this program starts, what it is to do.
const orderVariable = "MORANGO_BENCH_ORDER"

// order tells a process what to do.
type order struct {
	Role     string // "serve", "sync", "small", "write" or "stages"
	Project  string
	Notes    bool // the rows are notes and not Kolibri's
	Database string
	Profile  string // file for a CPU profile; "" is none

	// Of a sync.
	URL        string
	Pull, Push bool
	Delay      time.Duration
	Rate       int64 // bytes a second
	Buffers    bool  // to a server that knows no streams, as far as the client hears

	// Of the stages alone.
	Receiver string // database
	Streamed string // another, to which the same rows come as a stream
	Applied  string // and one where they are applied at once
	Spool    string // file for what would be on its way

	// Of who goes on beside others.
	Name string // for the report
	Idle string // a file that nobody else writes to, for comparison
}

// served is what a serving process tells when it is asked to stop.
type served struct{ Usage usage }

// synced is what a syncing process tells at its end.
type synced struct {
	Seconds               float64
	Usage                 usage
	Sent, Received, Turns int64
	Pull, Push            morango.Direction
	Problems              int
}

// process is a running child: it answers each line that it is given with JSON.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// start starts this program again with an order. It ends with ctx, or by stop.
func start(ctx context.Context, o order) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), orderVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &process{cmd: cmd, in: in, out: json.NewDecoder(out)}, cmd.Start()
}

// tell gives the process its next line.
func (p *process) tell() error {
	_, err := io.WriteString(p.in, "\n")
	return err
}

// hear waits for the process's next answer.
func (p *process) hear(into any) error {
	err := p.out.Decode(into)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("a process ended early: %w", p.cmd.Wait())
	}
	return err
}

// stop ends the process and waits for it.
func (p *process) stop() error { return errors.Join(p.in.Close(), p.cmd.Wait()) }

// child does what the order says.
func child(ctx context.Context, text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	k, err := loadKind(o.Project, o.Notes)
	if err != nil {
		return err
	}
	switch o.Role {
	case "stages":
		return runStages(ctx, o, k.profile)
	case "write":
		return runWrite(ctx, o)
	}
	c := morango.Config{Logger: slog.New(slog.DiscardHandler)}
	line := newLink(o.Delay, o.Rate)
	if o.Role == "sync" {
		c.Client = line.client(o.Buffers)
	}
	node, err := morango.Open(ctx, o.Database, k.profile, c)
	if err != nil {
		return err
	}
	run := runSync
	switch o.Role {
	case "serve":
		run = runServe
	case "small":
		run = runSmall
	}
	return errors.Join(run(ctx, o, node, line), node.Close())
}

// begin starts to measure when it is told to.
func begin(o order) (*watch, error) {
	if err := listen(); err != nil {
		return nil, err
	}
	return newWatch(o.Profile)
}

// runServe serves until it is told to stop measuring.
func runServe(ctx context.Context, o order, node *morango.Node, _ *link) error {
	address, stop, err := serve(ctx, node)
	if err != nil {
		return err
	}
	defer stop()
	if err := say(address); err != nil {
		return err
	}
	w, err := begin(o)
	if err != nil {
		return err
	}
	if err := say(true); err != nil {
		return err
	}
	if err := listen(); err != nil {
		return err
	}
	var s served
	s.Usage, _ = w.stop()
	return say(s)
}

// runSync syncs once, when it is told to.
func runSync(ctx context.Context, o order, node *morango.Node, line *link) error {
	if err := say(true); err != nil {
		return err
	}
	w, err := begin(o)
	if err != nil {
		return err
	}
	summary, err := node.Sync(ctx, o.URL, morango.SyncOptions{Pull: o.Pull, Push: o.Push})
	if err != nil {
		return err
	}
	s := synced{Pull: summary.Pull, Push: summary.Push, Problems: len(summary.Problems)}
	s.Usage, s.Seconds = w.stop()
	s.Sent, s.Received, s.Turns = line.sent.Load(), line.received.Load(), line.turns.Load()
	return say(s)
}

// say answers the parent.
func say(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// listen waits for the parent's next line. When the parent ends, so does its child.
func listen() error {
	var b [1]byte
	if _, err := os.Stdin.Read(b[:]); err != nil {
		return fmt.Errorf("the parent is gone: %w", err)
	}
	return nil
}
