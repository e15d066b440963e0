package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// result is one measurement. What does not apply is 0.
type result struct {
	Engine string `json:"engine"`
	Rows   int    `json:"rows"` // of learners, in the full databases
	Job    string `json:"job"`

	Records int64   `json:"records"` // that were handled
	Seconds float64 `json:"seconds"`
	// Sides is on how many sides the records end up in a store, and Floors how many
	// times as long this took as the inserts alone would have, on all sides together;
	// FloorsCPU is the same of CPU time.
	Sides     int     `json:"sides"`
	Floors    float64 `json:"times_the_floor"`
	FloorsCPU float64 `json:"times_the_floor_cpu"`

	Client      usage   `json:"client"`
	Server      usage   `json:"server"`
	DatabaseCPU float64 `json:"database_server_cpu_seconds"` // of PostgreSQL; SQLite runs in the peers

	// Seen from the client, at the socket.
	Sent     int64 `json:"bytes_sent"`
	Received int64 `json:"bytes_received"`
	Turns    int64 `json:"round_trips"`
	// Reference is what the reference would send of the same records, as JSON with gzip 9.
	Reference int64 `json:"reference_bytes,omitempty"`

	DatabaseBytes int64  `json:"database_bytes"` // of the hub
	Waits         *waits `json:"waits,omitempty"`
	Note          string `json:"note"`
}

// cpu is all CPU time that a measurement cost, wherever.
func (r result) cpu() float64 { return r.Client.CPU + r.Server.CPU + r.DatabaseCPU }

// report is what a run found.
type report struct {
	Machine string   `json:"machine"`
	Results []result `json:"results"`
}

func (r *report) find(engine string, rows int, job string) (result, bool) {
	for _, one := range r.Results {
		if one.Engine == engine && one.Rows == rows && one.Job == job {
			return one, true
		}
	}
	return result{}, false
}

const (
	heading = "%-8s %8s  %-22s %8s %9s %6s %6s  %7s %7s %7s  %6s %6s  %9s %9s %6s  %7s\n"
	rowForm = "%-8s %8d  %-22s %8.3f %9s %6s %6s  %7.2f %7s %7s  %6s %6s  %9s %9s %6s  %7s  %s\n"
)

// add shows a result at once, and keeps it.
func (r *report) add(one result) {
	if len(r.Results) == 0 {
		fmt.Printf("%s\n\n", r.Machine)
		fmt.Printf(heading, "", "", "", "", "rows a", "times", "floor", "CPU s", "", "", "peak", "MB", "bytes", "", "round", "MB of")
		fmt.Printf(heading, "engine", "rows", "job", "seconds", "second", "clock", "CPU", "client", "server", "db", "client", "server",
			"sent", "received", "trips", "the hub")
	}
	r.Results = append(r.Results, one)
	rate := ""
	if one.Records > 0 {
		rate = fmt.Sprintf("%.0f", float64(one.Records)/one.Seconds)
	}
	fmt.Printf(rowForm, one.Engine, one.Rows, one.Job, one.Seconds, rate, decimal(one.Floors, 1), decimal(one.FloorsCPU, 1), one.Client.CPU,
		decimal(one.Server.CPU, 2), decimal(one.DatabaseCPU, 2), megabytes(one.Client.Memory), megabytes(one.Server.Memory),
		whole(one.Sent), whole(one.Received), whole(one.Turns), megabytes(one.DatabaseBytes), one.Note)
}

func decimal(v float64, digits int) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.*f", digits, v)
}

func whole(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func megabytes(n int64) string { return decimal(float64(n)/(1<<20), 1) }

// usualRows is the number of rows with which the others are compared.
const usualRows = 10_000

// end says what follows from the results together: how the time of a row grows with their
// number, on the clock and in CPU time.
func (r *report) end(w io.Writer) {
	fmt.Fprintln(w)
	for _, one := range r.Results {
		small, ok := r.find(one.Engine, usualRows, one.Job)
		if !ok || one.Rows <= usualRows || one.Sides == 0 || one.Records == 0 || small.Records == 0 {
			continue
		}
		times := float64(one.Records) / float64(small.Records)
		fmt.Fprintf(w, "%s: time a row of %s at %d rows is %.2f of that at %d, CPU time %.2f\n", one.Engine, one.Job, one.Rows,
			one.Seconds/small.Seconds/times, usualRows, one.cpu()/small.cpu()/times)
	}
}

// save writes the results as JSON.
func (r *report) save(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
