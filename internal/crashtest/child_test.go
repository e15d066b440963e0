//go:build linux

package crashtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"modernc.org/sqlite"
)

// role is what the environment of a victim's process says.
type role struct {
	Side, Target string
	Doom         doom
}

const roleVariable = "MORANGO_CRASHTEST_ROLE"

func TestMain(m *testing.M) {
	if text := os.Getenv(roleVariable); text != "" {
		if err := victim(text); err != nil {
			fmt.Println("fail", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// victim does what it is told, line by line, until its time has come.
func victim(text string) error {
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return err
	}
	d := &disk{doom: r.Doom, sides: map[string]*os.File{}, fresh: map[string]bool{}}
	if err := watch(d); err != nil {
		return err
	}
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, _ string) error {
		conn.(sqlite.HookRegisterer).RegisterCommitHook(func() int32 {
			between.Lock()
			defer between.Unlock()
			d.commit()
			return 0
		})
		return nil
	})
	p := &peer{side: r.Side, target: r.Target, told: func(word, id, text string) { fmt.Println(word, id, text) }}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		answer, err := obey(p, d, lines.Text())
		if err != nil {
			fmt.Println("fail", strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		fmt.Println("done", answer)
	}
	return nil
}

func obey(p *peer, d *disk, line string) (string, error) {
	between.Lock()
	switch line {
	case "arm":
		d.armed = true
	case "count":
		d.armed = false
		line = fmt.Sprint(d.commits, " ", d.ops, " ", d.refused)
	default:
		between.Unlock()
		return p.do(context.Background(), line)
	}
	between.Unlock()
	return line, nil
}

// child is a side in a process of its own.
type child struct {
	cmd   *exec.Cmd
	told  func(word, id, text string)
	in    io.WriteCloser
	lines chan string // closed when it has ended
	once  sync.Once
	doom  doom
}

var errDied = errors.New("it has died")

func startChild(t *testing.T, r role, told func(word, id, text string)) *child {
	t.Helper()
	text, err := json.Marshal(r)
	must(t, err)
	program, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(context.Background(), program)
	cmd.Env = append(os.Environ(), roleVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	c := &child{cmd: cmd, told: told, in: in, lines: make(chan string, 1000), doom: r.Doom}
	go func() {
		defer close(c.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			c.lines <- s.Text()
		}
	}()
	t.Cleanup(c.end)
	return c
}

// do has the process do something. errDied when it dies of it.
func (c *child) do(ctx context.Context, line string) (string, error) {
	if _, err := fmt.Fprintln(c.in, line); err != nil && !c.struck(ctx) {
		return "", err
	}
	for said := range c.lines {
		word, rest := c.hear(said)
		switch word {
		case "done":
			return rest, nil
		case "fail":
			return "", errors.New(rest)
		}
	}
	return "", errDied
}

// hear notes what the process tells of its application.
func (c *child) hear(said string) (word, rest string) {
	word, rest, _ = strings.Cut(said, " ")
	if word == "try" || word == "ack" {
		id, text, _ := strings.Cut(rest, " ")
		c.told(word, id, text)
	}
	return word, rest
}

// arm begins to count in the process.
func (c *child) arm(ctx context.Context) error {
	_, err := c.do(ctx, "arm")
	return err
}

// count returns the commits and operations on files since then.
func (c *child) count(ctx context.Context) (commits, ops int, err error) {
	answer, err := c.do(ctx, "count")
	if err == nil {
		_, err = fmt.Sscan(answer, &commits, &ops)
	}
	return commits, ops, err
}

// struck waits until the process has ended, and takes in what it still said. One that
// lives is asked whether its disk gave it trouble.
func (c *child) struck(ctx context.Context) bool {
	if c.doom.trouble() {
		answer, err := c.do(ctx, "count")
		return err == nil && !strings.HasSuffix(answer, " 0")
	}
	for {
		select {
		case said, ok := <-c.lines:
			if !ok {
				return true
			}
			c.hear(said)
		case <-ctx.Done():
			return false
		}
	}
}

// revive opens the victim's database in this process. A victim that lives has to sync
// before that, as if nothing had been.
func (c *child) revive(r *run) {
	if c.doom.trouble() {
		_, err := c.do(r.Context(), "count") // the trouble is over, if it was not
		must(r.T, err)
		lines := []string{r.victim + " mend", r.victim + " edit 3", "tablet sync"}
		if r.victim == hub {
			lines = slices.Insert(lines, 1, "hub serve")
		}
		for _, line := range lines {
			if err := r.line(line); err != nil && !strings.Contains(line, "edit") { // it may have edited so already
				r.Errorf("the trouble is over, and yet: %v", err)
			}
		}
	}
	c.end()
	p := r.here(r.victim, r.targets[r.victim])
	r.sides[r.victim] = p
	must(r.T, p.open(r.Context()))
}

func (c *child) kill() { _ = c.cmd.Process.Kill() } // it may have ended

// end kills the process and waits for its end.
func (c *child) end() {
	c.once.Do(func() {
		c.kill()
		for range c.lines {
			continue // what it still says is of no interest
		}
		_ = c.cmd.Wait() // it ends by a signal
	})
}
