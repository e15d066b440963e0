package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/record"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/dequeue"
	"github.com/morango-go/morango/stage/deserialize"
	"github.com/morango-go/morango/stage/queue"
	"github.com/morango-go/morango/stage/serialize"
	"github.com/morango-go/morango/stage/transfer"
	"github.com/morango-go/morango/store"
	"github.com/morango-go/morango/wire"
)

// stages measures each stage alone: from a client's changed rows through a file, in
// place of the network, to a hub's tables, all in one process.
func (b *bench) stages(ctx context.Context) (all []result, err error) {
	client, err := b.get(ctx, clientFull)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.drop(ctx, client)) }()
	hub, err := b.get(ctx, hubEmpty)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.drop(ctx, hub)) }()
	o := order{Role: "stages", Project: b.project, Database: client, Receiver: hub,
		Spool: filepath.Join(b.folder, "spool"), Profile: b.profileOf("stage", "")}
	for _, target := range []*string{&o.Streamed, &o.Applied} {
		if *target, err = b.get(ctx, hubEmpty); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, b.drop(ctx, *target)) }()
	}
	p, err := start(ctx, o)
	if err != nil {
		return nil, err
	}
	for range stageNames() {
		before := b.cpu()
		if err := p.tell(); err != nil {
			return nil, err
		}
		var r result
		if err := p.hear(&r); err != nil {
			return nil, err
		}
		r.DatabaseCPU = b.cpu() - before
		all = append(all, r)
	}
	return all, p.stop()
}

// walk is one way of rows through the stages.
type walk struct {
	from, to          stage.Env
	streamed, applied stage.Env // that get the rows by a stream
	session           string
	spool             *os.File
	claim             counter.ByPartition // of the sender
	total             int64
	bytes             int64 // that the step sent
}

type step struct {
	name string
	run  func(*walk, context.Context) error
}

func steps() []step {
	return []step{
		{"serialize", (*walk).serialize}, {"sender's claim", (*walk).senderClaim}, {"queue", (*walk).queue}, {"send", (*walk).send},
		{"send, as reference", (*walk).reference}, {"receive", (*walk).receive}, {"dequeue", (*walk).dequeue}, {"deserialize", (*walk).deserialize},
		{"receiver's claim", (*walk).receiverClaim},
		{"stream out", (*walk).streamOut},
		{"stream in", (*walk).streamIn}, {"deserialize after it", (*walk).deserializeStreamed},
		{"stream in, applied at once", (*walk).streamApplied}, {"deserialize what is left", (*walk).deserializeLeft},
	}
}

func stageNames() []string {
	var all []string
	for _, s := range steps() {
		all = append(all, s.name)
	}
	return all
}

// chunk is the number of records in one request, as clients have it by default.
const (
	chunk        = 500
	chunkSession = "5e55100000000000000000000000bead"
)

// runStages runs one stage each time that the parent says so.
func runStages(ctx context.Context, o order, profile *model.Profile) (err error) {
	w := &walk{session: chunkSession}
	for target, env := range map[string]*stage.Env{o.Database: &w.from, o.Receiver: &w.to, o.Streamed: &w.streamed, o.Applied: &w.applied} {
		d, err := db.Open(ctx, target, db.Options{MustExist: true})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.Close()) }()
		if _, err := d.Attach(ctx); err != nil {
			return err
		}
		*env = stage.Env{DB: d, Profile: profile, Machine: store.Machine{SystemID: "bench", NodeID: "bench"},
			Now: func() time.Time { return time.Now().UTC() }, Rand: rand.Reader}
	}
	if w.spool, err = os.OpenFile(o.Spool, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.spool.Close(), os.Remove(o.Spool)) }()
	for _, s := range steps() {
		if err := listen(); err != nil {
			return err
		}
		r, err := w.step(ctx, s, o.Profile)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := say(r); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) step(ctx context.Context, s step, profile string) (result, error) {
	if profile != "" {
		profile = strings.TrimSuffix(profile, ".pprof") + s.name + ".pprof"
	}
	watch, err := newWatch(profile)
	if err != nil {
		return result{}, err
	}
	if err := s.run(w, ctx); err != nil {
		return result{}, err
	}
	r := result{Job: "stage " + s.name, Records: w.total, Sides: 1}
	r.Client, r.Seconds = watch.stop()
	r.Sent, w.bytes = w.bytes, 0
	return r, nil
}

func (w *walk) serialize(ctx context.Context) error {
	report, err := serialize.Run(ctx, w.from, partition.All(), nil)
	w.total = report.Records
	return err
}

func (w *walk) senderClaim(ctx context.Context) error {
	return w.from.DB.Read(ctx, func(tx *db.Tx) error {
		f, err := store.FSIC(ctx, tx, partition.All(), true, true)
		w.claim = f.Expand(partition.All())
		return err
	})
}

func (w *walk) receiverClaim(ctx context.Context) error {
	return w.to.DB.Read(ctx, func(tx *db.Tx) error {
		_, err := store.FSIC(ctx, tx, partition.All(), false, true)
		return err
	})
}

// queue fills a buffer, with its session.
func (w *walk) queue(ctx context.Context) (err error) {
	if _, err = w.begin(ctx, w.from, stage.Serializing); err != nil {
		return err
	}
	w.total, err = queue.Run(ctx, w.from, queue.Job{TransferSession: w.session, Filter: partition.All()})
	return err
}

// chunks calls f with the JSON of each chunk of the sender's buffer.
func (w *walk) chunks(ctx context.Context, f func(body []byte) error) error {
	for after := ""; ; {
		var page []record.Record
		err := w.from.DB.Read(ctx, func(tx *db.Tx) (err error) {
			page, err = buffer.Page(ctx, tx, w.session, after, chunk)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		if err := f(wire.AppendBuffers(nil, w.session, page)); err != nil {
			return err
		}
		after = page[len(page)-1].ID
	}
}

func (w *walk) send(ctx context.Context) error {
	out := bufio.NewWriter(w.spool)
	err := w.chunks(ctx, func(body []byte) error {
		var zipped bytes.Buffer
		if err := wire.Deflate(&zipped, body); err != nil {
			return err
		}
		w.bytes += int64(zipped.Len())
		_, err := out.Write(binary.BigEndian.AppendUint32(nil, uint32(zipped.Len())))
		if err == nil {
			_, err = out.Write(zipped.Bytes())
		}
		return err
	})
	return errors.Join(err, out.Flush())
}

// reference counts what the reference would send of the same rows.
func (w *walk) reference(ctx context.Context) error {
	return w.chunks(ctx, func(body []byte) error {
		n, err := gzipSize(body)
		w.bytes += n
		return err
	})
}

func (w *walk) receive(ctx context.Context) error {
	if err := w.rewind(); err != nil {
		return err
	}
	t, err := w.begin(ctx, w.to, stage.Queuing)
	for in := bufio.NewReader(w.spool); err == nil; {
		var head [4]byte
		if _, err := io.ReadFull(in, head[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		t, err = w.receiveChunk(ctx, t, io.LimitReader(in, int64(binary.BigEndian.Uint32(head[:]))))
	}
	return err
}

func (w *walk) receiveChunk(ctx context.Context, t session.Transfer, body io.Reader) (session.Transfer, error) {
	plain, err := wire.Inflate(body, 64<<20)
	if err != nil {
		return t, err
	}
	sent, err := wire.ParseBuffers(plain, chunk)
	if err != nil {
		return t, err
	}
	records := make([]record.Record, len(sent))
	for i, r := range sent {
		records[i] = r.Record()
	}
	return transfer.Receive(ctx, w.to, t, records, nil)
}

func (w *walk) dequeue(ctx context.Context) error {
	_, err := dequeue.Run(ctx, w.to, dequeue.Job{TransferSession: w.session, Filter: partition.All(), Sender: dequeue.Known(w.claim)})
	return err
}

func (w *walk) deserialize(ctx context.Context) error {
	return apply(ctx, w.to)
}

// apply applies what has come to a database, all of it.
func apply(ctx context.Context, env stage.Env) error {
	report, err := deserialize.Run(ctx, env, partition.All(), deserialize.Options{}, nil)
	if err == nil && report.Errors > 0 {
		err = fmt.Errorf("%d records could not be applied", report.Errors)
	}
	return err
}
