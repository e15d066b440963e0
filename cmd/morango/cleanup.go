package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/ident"
)

// cleanupCmd closes idle sessions.
type cleanupCmd struct {
	node
	Hours            float64  `default:"6" help:"Close sessions without activity for this many hours. Live ones, with activity in the last two minutes, are never closed."`
	KeepDays         float64  `default:"30" help:"Delete the rows of sessions that ended this many days ago; 0 keeps them."`
	IDs              []string `name:"ids" env:"-" placeholder:"ID" help:"Close only these sync sessions."`
	ClientInstanceID string   `name:"client-instance-id" env:"-" placeholder:"ID" help:"Close only sync sessions of this client."`
	ServerInstanceID string   `name:"server-instance-id" env:"-" placeholder:"ID" help:"Close only sync sessions of this server."`
	SyncFilter       string   `name:"sync-filter" env:"-" placeholder:"PREFIX" help:"Close only transfer sessions whose filter begins with this."`
	Push             bool     `name:"push" env:"-" help:"Close only transfer sessions that push."`
	Pull             bool     `name:"pull" env:"-" help:"Close only transfer sessions that pull."`
	JSON             bool     `help:"Print one JSON object."`
}

// Validate refuses impossible values before anything is opened, and brings ids into
// canonical form.
func (f *cleanupCmd) Validate() error {
	if f.Hours < 0 {
		return fmt.Errorf("--hours %v: a number from 0 is needed", f.Hours)
	}
	if f.KeepDays < 0 {
		return fmt.Errorf("--keep-days %v: a number from 0 is needed", f.KeepDays)
	}
	ids := []*string{&f.ClientInstanceID, &f.ServerInstanceID}
	for i := range f.IDs {
		ids = append(ids, &f.IDs[i])
	}
	for _, id := range ids {
		if *id == "" {
			continue
		}
		parsed, err := ident.Parse(*id)
		if err != nil {
			return fmt.Errorf("%q is no id: 32 hex digits are needed", *id)
		}
		*id = parsed
	}
	return nil
}

// Run closes what is idle and says how much it was.
func (f *cleanupCmd) Run(ctx context.Context, c console) error {
	return f.with(ctx, morango.Config{Logger: c.log}, func(n *morango.Node) error {
		done, err := n.Cleanup(ctx, morango.CleanupOptions{
			Idle: hours(f.Hours), Keep: hours(24 * f.KeepDays), SyncSessions: f.IDs,
			ClientInstance: f.ClientInstanceID, ServerInstance: f.ServerInstanceID,
			FilterPrefix: f.SyncFilter, Push: f.Push, Pull: f.Pull,
		})
		if err != nil {
			return err
		}
		if f.JSON {
			return json.NewEncoder(c.out).Encode(done)
		}
		fmt.Fprintf(c.out, "Closed %s and %s; their buffers are gone.\n",
			plural(int64(done.SyncSessions), "sync session"), plural(int64(done.TransferSessions), "transfer session"))
		if done.Buffers+done.Compacted > 0 {
			fmt.Fprintf(c.out, "Dropped %s of dead sessions, deleted %s.\n",
				plural(int64(done.Buffers), "buffer"), plural(int64(done.Compacted), "old sync session"))
		}
		return nil
	})
}

func hours(n float64) time.Duration { return time.Duration(n * float64(time.Hour)) }
