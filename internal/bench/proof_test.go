package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// These tests measure, as "make bench" does, with processes of their own: this program
// built anew, for the race detector takes several times the memory and the time.
func build(t *testing.T) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "bench.exe")
	run(t, exec.CommandContext(t.Context(), "go", "build", "-o", program, "."))
	return program
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	t.Logf("%s", out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
}

// measured runs jobs and returns what they found.
func measured(t *testing.T, engines, jobs, rows string) []result {
	t.Helper()
	folder := t.TempDir()
	path := filepath.Join(folder, "bench.json")
	run(t, exec.CommandContext(t.Context(), build(t), "-jobs", jobs, "-n", rows, "-engines", engines,
		"-project", filepath.Join("..", ".."), "-dir", folder, "-json", path))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r.Results
}

// 300,000 rows go from one process to another, on both engines, and neither takes more memory than
// for 10,000. "make bench BENCH=memory-push,memory-pull N=300000,1000000" does it with more, and pulls
// them too.
func TestMemory(t *testing.T) {
	if peak() == 0 {
		t.Log("this system does not tell how much memory a process has resident")
		return
	}
	results := measured(t, "sqlite,postgres", "memory-push", "300000")
	if len(results) != 2 {
		t.Fatalf("%d results: %+v", len(results), results)
	}
	for _, r := range results {
		if r.Records != 300_000 {
			t.Errorf("%s on %s: %d records", r.Job, r.Engine, r.Records)
		}
		for who, u := range map[string]usage{"client": r.Client, "server": r.Server} {
			if u.Memory <= 0 || u.Memory > mostMemory {
				t.Errorf("%s on %s: the %s had %d bytes resident, more than %d", r.Job, r.Engine, who, u.Memory, mostMemory)
			}
		}
	}
}

// While 10,000 rows are pushed, and then pulled, others have their turn. The bounds are
// those of a machine that has nothing else to do; beside other tests one wait in twenty may
// be beyond them, and none beyond eight times as much. What holds on any machine is counted
// by the tests of db.WritePart.
func TestFair(t *testing.T) {
	const wide = 8
	found := 0
	for _, r := range measured(t, "sqlite", "fair", "10000") {
		w := r.Waits
		if w == nil {
			continue
		}
		found++
		if w.Count == 0 || w.Longest > wide*w.Bound || w.Over > 1+w.Count/20 {
			t.Errorf("%s: of %d the longest took %.3f s, and %d more than %.2f s; with nobody else %.3f s",
				r.Job, w.Count, w.Longest, w.Over, w.Bound, w.Idle)
		}
	}
	if found != 8 {
		t.Errorf("%d waits were measured instead of 8", found)
	}
}
