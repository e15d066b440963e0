// Command morango is a peer of the Morango system on the command line: it sets a
// database up, serves it to other peers, and syncs it with them.
//
// It imports the facade and, for what only a command needs, the layers below. A row's
// path starts here with `morango sync`, and ends here with `morango serve` on the
// other peer.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/internal/heap"
)

// The exit codes.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitPartial = 3 // synced, but some records could not be applied
)

// cli is the command line: one field a command.
type cli struct {
	Config  configFlag       `placeholder:"FILE" help:"Read flags from this YAML file; environment variables MORANGO_... go over it, and the command line over both."`
	Log     string           `default:"warn" enum:"debug,info,warn,error" help:"Least level of messages on standard error: ${enum}."`
	Version kong.VersionFlag `env:"-" help:"Print the version."`

	Init      initCmd      `cmd:"" help:"Make a database ready: Morango's tables, the application's tables, change capture."`
	ID        idCmd        `cmd:"" name:"id" help:"Compute a record's id, source id and partition from its columns."`
	Cert      certCmd      `cmd:"" help:"Create, list and show certificates."`
	User      userCmd      `cmd:"" help:"Manage the users who may ask for certificates."`
	Serve     serveCmd     `cmd:"" help:"Serve the database to peers."`
	Sync      syncCmd      `cmd:"" help:"Sync with a peer: pull, then push."`
	Serialize serializeCmd `cmd:"" help:"Bring changed rows into the store now (sync does it by itself)."`
	Status    statusCmd    `cmd:"" help:"Show what the database holds and what waits."`
	Errors    errorsCmd    `cmd:"" help:"Show the records that cannot be applied or sent, and what mends them."`
	Conflicts conflictsCmd `cmd:"" help:"List records that keep copies which lost a conflict, and what they differ in."`
	Resolve   resolveCmd   `cmd:"" help:"Settle a conflict: keep ours, a copy, or other content."`
	Identity  identityCmd  `cmd:"" help:"Show who this database saves as, or give it a new identity."`
	Verify    verifyCmd    `cmd:"" help:"Check what the database holds, or compare it with a peer, and say what is wrong."`
	Repair    repairCmd    `cmd:"" help:"Mend what verify finds, as far as that needs no guessing."`
	Cleanup   cleanupCmd   `cmd:"" help:"Close idle sessions and drop their buffers."`
	Demo      demoCmd      `cmd:"" help:"Let two school databases sync before your eyes; needs no set-up."`
}

// node is what commands on a database have in common.
type node struct {
	Database string `required:"" placeholder:"DB" help:"Database: a file, sqlite:FILE or postgres://HOST/NAME."`
	Profile  string `required:"" placeholder:"FILE" type:"existingfile" help:"Profile file (YAML)."`
}

// open opens the database of a command.
func (f node) open(ctx context.Context, c morango.Config) (*morango.Node, error) {
	profile, err := morango.LoadProfile(f.Profile)
	if err != nil {
		return nil, err
	}
	return morango.Open(ctx, f.Database, profile, c)
}

// console is where a command reads and writes.
type console struct {
	in       io.Reader
	out, err io.Writer
	log      *slog.Logger
}

// errPartial makes the exit code exitPartial; what is wrong has been printed.
var errPartial = errors.New("some records could not be applied")

func main() {
	heap.Rest(heap.Least)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], console{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// run is main with everything given to it.
func run(ctx context.Context, args []string, c console) int {
	var flags cli
	exit, exited := exitDone, false
	parser, err := kong.New(&flags,
		kong.Name("morango"),
		kong.Description("Sync the rows of SQL databases between peers that are only sometimes connected."),
		kong.Vars{"version": "morango " + morango.Version()},
		kong.Writers(c.out, c.err),
		kong.Exit(func(code int) { exit, exited = code, true }),
		kong.DefaultEnvars("MORANGO"),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		fmt.Fprintf(c.err, "morango: %v\n", err)
		return exitFailed
	}
	parsed, err := parser.Parse(args)
	if exited {
		return exit
	}
	if err != nil {
		fmt.Fprintf(c.err, "morango: %v\nRun `morango --help` for the commands.\n", err)
		return exitUsage
	}
	c.log = slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: level(flags.Log)}))
	return c.exitCode(ctx, parsed.Run(c))
}

// exitCode tells of a command's error, unless the command has told already.
func (c console) exitCode(ctx context.Context, err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errPartial):
		return exitPartial
	case ctx.Err() != nil:
		c.log.Debug("interrupted", "error", err)
		fmt.Fprintln(c.err, "morango: interrupted; nothing is lost: run the same command again to go on")
		return exitFailed
	}
	fmt.Fprintf(c.err, "morango: %v\n", err)
	return exitFailed
}

func level(name string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelWarn
	}
	return l
}
