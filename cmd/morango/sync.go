package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/morango-go/morango"
)

// syncCmd syncs with a peer, and first asks it for a certificate when a user is given.
type syncCmd struct {
	node
	URL       string `arg:"" help:"Address of the peer, such as https://hub.example.org."`
	Pull      bool   `xor:"direction" help:"Only pull: from the peer to here."`
	Push      bool   `xor:"direction" help:"Only push: from here to the peer."`
	Filter    string `help:"Partition prefixes to sync, separated by white space; all that the certificates allow when not given."`
	Resume    bool   `default:"true" negatable:"" help:"Go on with an interrupted sync with this peer, if there is one."`
	ChunkSize int    `default:"0" help:"Records in one request, 1 to 10000; 0 leaves it to the peers."`
	Retries   int    `default:"6" help:"How often a connection that breaks is tried again, with growing pauses; 0 is never."`
	JSON      bool   `help:"Print one JSON object at the end instead of lines for people."`
	CAFile    string `name:"ca-file" type:"existingfile" placeholder:"FILE" help:"Certificates (PEM) of authorities to trust beside the system's."`

	User         string            `help:"Ask the peer for a certificate in this user's name when this database has none from it."`
	UserArgs     map[string]string `name:"user-arg" placeholder:"NAME=VALUE" help:"Further arguments by which the peer finds the user, such as facility=ID."`
	PasswordFile string            `type:"existingfile" placeholder:"FILE" help:"File that holds the user's password; it is asked for otherwise."`
	Scope        string            `help:"Scope definition to ask for; the peer's own when not given."`
	Params       map[string]string `name:"param" placeholder:"NAME=VALUE" help:"Parameters of the scope to ask for."`
}

// Validate refuses impossible values before anything is opened.
func (f *syncCmd) Validate() error {
	if f.ChunkSize < 0 || f.ChunkSize > 10_000 {
		return fmt.Errorf("--chunk-size %d: a number up to 10000 is needed", f.ChunkSize)
	}
	if f.Retries < 0 {
		return fmt.Errorf("--retries %d: a number from 0 is needed", f.Retries)
	}
	return nil
}

// Run syncs and tells what happened.
func (f *syncCmd) Run(ctx context.Context, c console) error {
	httpClient, err := f.httpClient()
	if err != nil {
		return err
	}
	return f.with(ctx, morango.Config{Logger: c.log, Client: httpClient}, func(n *morango.Node) error {
		if err := f.join(ctx, c, n); err != nil {
			return err
		}
		o := morango.SyncOptions{Pull: f.Pull, Push: f.Push, ChunkSize: f.ChunkSize, Fresh: !f.Resume, Retries: f.Retries}
		if f.Retries == 0 {
			o.Retries = -1 // 0 is the default there
		}
		if f.Filter != "" {
			o.Filter = morango.ParseFilter(f.Filter)
		}
		stop := func() {}
		if !f.JSON {
			stop = showProgress(ctx, n, c.out)
		}
		summary, err := n.Sync(ctx, f.URL, o)
		stop()
		return f.tell(c, summary, err)
	})
}

// httpClient is nil, for the usual client, unless certificates are to be trusted that
// the system does not know.
func (f *syncCmd) httpClient() (*http.Client, error) {
	if f.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(f.CAFile)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	trusted, err := x509.SystemCertPool()
	if err != nil {
		trusted = x509.NewCertPool() // there are systems without any
	}
	if !trusted.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--ca-file %s: no certificate in PEM form is in it", f.CAFile)
	}
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute,
	}}, nil
}

// tell prints the summary, also of a sync that failed half-way.
func (f *syncCmd) tell(c console, s morango.Summary, err error) error {
	if f.JSON {
		report := struct {
			morango.Summary
			Error string `json:"error,omitempty"`
		}{Summary: s}
		if err != nil {
			report.Error = err.Error()
		}
		if writeErr := json.NewEncoder(c.out).Encode(report); writeErr != nil {
			return writeErr
		}
	} else if s.SyncSession != "" {
		printSummary(c.out, s)
	}
	if err == nil && (s.Failing() > 0 || s.Doubtful()) {
		return errPartial
	}
	return err
}

// join asks for a certificate when a user is named and this database has none that
// fits the peer.
func (f *syncCmd) join(ctx context.Context, c console, n *morango.Node) error {
	if f.User == "" {
		return nil
	}
	joined, err := n.Joined(ctx, f.URL)
	if err != nil || joined {
		return err
	}
	password, err := readPassword(ctx, c, f.PasswordFile, fmt.Sprintf("Password of %s at %s: ", f.User, f.URL), false)
	if err != nil {
		return err
	}
	got, err := n.Join(ctx, f.URL, morango.JoinOptions{
		User: f.User, UserArgs: f.UserArgs, Password: password, ScopeDefinition: f.Scope, Params: f.Params,
	})
	if err != nil {
		return err
	}
	if !f.JSON {
		fmt.Fprintf(c.out, "Joined as %s with certificate %s (%s).\n", f.User, got.ID, got.ScopeDefinition)
	}
	return nil
}

func printSummary(w io.Writer, s morango.Summary) {
	for _, one := range []struct {
		name string
		d    morango.Direction
	}{{"pulled", s.Pull}, {"pushed", s.Push}} {
		d := one.d
		if d.Done && d.Records == 0 {
			fmt.Fprintf(w, "%s  nothing new\n", one.name)
			continue
		}
		if !d.Done && d.Records == 0 && d.BytesSent == 0 {
			continue
		}
		fmt.Fprintf(w, "%s  %s, %s sent, %s received", one.name, plural(d.Records, "record"), size(d.BytesSent), size(d.BytesReceived))
		for _, part := range []struct {
			n    int64
			name string
		}{
			{d.New, "new"}, {d.FastForwards, "newer"}, {d.Conflicts, "in conflict"}, {d.Deleted, "deleted"},
			{d.Waiting, "waiting for the next sync"},
		} {
			if part.n > 0 {
				fmt.Fprintf(w, ", %s %s", count(part.n), part.name)
			}
		}
		if !d.Done {
			fmt.Fprint(w, "; interrupted")
		}
		fmt.Fprintln(w)
	}
	printLeftOut(w, s)
	printProblems(w, s.Problems, s.ProblemsTotal)
	if s.Doubtful() {
		fmt.Fprintf(w, "compared     %s lost and %s damaged, here or with the peer: `morango verify URL` shows which\n",
			plural(s.Compared.Lost, "record"), count(s.Compared.Damaged))
	}
}
