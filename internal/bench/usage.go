package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

// usage is what a process used while it was watched. Where the system does not tell,
// it is 0.
type usage struct {
	CPU    float64 `json:"cpu_seconds"`
	Memory int64   `json:"peak_memory_bytes"` // resident, at its highest
}

// watch measures this process from its making on.
type watch struct {
	began   time.Time
	cpu     time.Duration
	profile *os.File
}

// newWatch starts to measure. With a profile's path it also writes a CPU profile.
func newWatch(profile string) (*watch, error) {
	w := &watch{}
	if profile != "" {
		var err error
		if w.profile, err = os.Create(profile); err != nil {
			return nil, err
		}
		if err := pprof.StartCPUProfile(w.profile); err != nil {
			return nil, err
		}
	}
	runtime.GC()
	debug.FreeOSMemory()
	forgetPeak()
	w.began, w.cpu = time.Now(), cpuTime()
	return w, nil
}

// stop returns what was used, and how long it took in seconds.
func (w *watch) stop() (usage, float64) {
	seconds := time.Since(w.began).Seconds()
	u := usage{CPU: (cpuTime() - w.cpu).Seconds(), Memory: peak()}
	if w.profile != nil {
		pprof.StopCPUProfile()
		w.profile.Close()
	}
	return u, seconds
}

// forgetPeak makes Linux measure the peak from now on.
func forgetPeak() {
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // elsewhere there is no peak at all
}

// peak is the highest resident memory of this process.
func peak() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte("VmHWM:"))
	fields := strings.Fields(string(rest[:min(len(rest), 40)]))
	if len(fields) == 0 {
		return 0
	}
	kilobytes, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return 0
	}
	return kilobytes << 10
}

// serverCPU is what a PostgreSQL server and its backends have used so far, in seconds;
// 0 where that cannot be known. folder holds its data.
func serverCPU(folder string) float64 {
	text, err := os.ReadFile(filepath.Join(folder, "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	main, _, _ := strings.Cut(string(text), "\n")
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	var ticks int64
	for _, path := range all {
		text, err := os.ReadFile(path)
		_, rest, found := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if err != nil || !found || len(fields) < 15 {
			continue // it has ended meanwhile
		}
		// After the name: state, parent, ..., at 11 own time, at 13 that of ended children.
		own := filepath.Base(filepath.Dir(path)) == main
		if own {
			ticks += number(fields[13]) + number(fields[14])
		}
		if own || fields[1] == main {
			ticks += number(fields[11]) + number(fields[12])
		}
	}
	const ticksOfSecond = 100 // on every Linux
	return float64(ticks) / ticksOfSecond
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
