// Command bench measures MoranGo from end to end: each stage alone, and whole syncs
// between two processes over loopback, on SQLite and PostgreSQL, with rows like
// Kolibri's, beside the floor: the plain inserts of the same finished rows into the same
// tables, in the same run. "make bench" runs it; docs/performance.md explains the figures.
//
// It belongs to the project's frame and may import every layer. On a row's path it
// stands beside all steps with a watch in its hand. It runs itself again as server and
// as client, so that CPU time and memory are those of one process each.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/morango-go/morango/internal/heap"
)

func main() {
	heap.Rest(heap.Least) // as in cmd/morango
	// Ctrl-C ends the run, and what it made goes with it. The processes that this one
	// started end when their input does.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	run := parent
	if text := os.Getenv(orderVariable); text != "" {
		run = func(ctx context.Context) error { return child(ctx, text) }
	}
	err := run(ctx)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options say what is measured.
type options struct {
	jobs     []string
	engines  []string
	sizes    []int
	runs     int    // of each job; the fastest counts
	folder   string // for databases
	profiles string // folder for CPU profiles; "" is none
	json     string // file for the results
	project  string // folder of the profile file
}

var errUsage = errors.New("wrong use; see -h")

func parse() (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	chosen := flags.String("jobs", "", "jobs, separated by commas; of "+strings.Join(names(), ", ")+" (default all)")
	engines := flags.String("engines", "", "sqlite, postgres, or both, separated by a comma (default both)")
	sizes := flags.String("n", "", "numbers of rows, separated by commas (default 1000,10000,100000; with BENCH_LARGE=1 also 1000000)")
	flags.IntVar(&o.runs, "runs", 1, "how often each job runs; the fastest counts")
	flags.StringVar(&o.folder, "dir", os.TempDir(), "where the databases are made, in a folder of their own")
	flags.StringVar(&o.profiles, "profile", "", "folder for CPU profiles of every process")
	flags.StringVar(&o.json, "json", "bench.json", "file for the results")
	flags.StringVar(&o.project, "project", ".", "the project's folder")
	if err := flags.Parse(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	o.jobs, o.engines = list(*chosen, names()), list(*engines, []string{"sqlite", "postgres"})
	for _, one := range o.jobs {
		if !slices.Contains(names(), one) {
			return o, fmt.Errorf("%w: there is no job %q", errUsage, one)
		}
	}
	usual := []string{"1000", "10000", "100000"}
	if os.Getenv("BENCH_LARGE") == "1" {
		usual = append(usual, "1000000")
	}
	for _, text := range list(*sizes, usual) {
		n, err := strconv.Atoi(text)
		if err != nil || n < rowsOfUser || n%rowsOfUser != 0 {
			return o, fmt.Errorf("%w: %q is no number of rows: give a multiple of %d", errUsage, text, rowsOfUser)
		}
		o.sizes = append(o.sizes, n)
	}
	return o, nil
}

// list splits a list at commas and spaces; an empty one is what is usual.
func list(text string, usual []string) []string {
	if all := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }); len(all) > 0 {
		return all
	}
	return usual
}

// parent measures all that was asked for and shows it.
func parent(ctx context.Context) (err error) {
	o, err := parse()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp(o.folder, "morango-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if o.profiles != "" {
		if err := os.MkdirAll(o.profiles, 0o755); err != nil {
			return err
		}
	}
	report := &report{Machine: fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())}
	for _, engine := range o.engines {
		if err = measure(ctx, o, engine, folder, report); err != nil {
			break
		}
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted; what was measured until then stands above")
	}
	report.end(os.Stdout)
	return errors.Join(err, report.save(o.json))
}

// measure runs the jobs on one engine, in all sizes.
func measure(ctx context.Context, o options, engine, folder string, report *report) (err error) {
	p, err := newPlaces(ctx, engine, folder)
	if err != nil {
		return err
	}
	// Also after a Ctrl-C: a server that is not ours must not keep our databases.
	defer func() { err = errors.Join(err, p.dropAll(context.WithoutCancel(ctx))) }()
	for _, n := range o.sizes {
		b := &bench{options: o, report: report}
		if b.world, err = newWorld(p, o.project, false, n); err != nil {
			return err
		}
		if err := b.all(ctx); err != nil {
			return fmt.Errorf("%s, %d rows: %w", engine, n, err)
		}
		if err := p.dropAll(ctx); err != nil {
			return err
		}
	}
	return nil
}
