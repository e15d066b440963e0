package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/store"
	"github.com/morango-go/morango/store/lacking"
	"github.com/morango-go/morango/wire"
)

// referenceBytes is what the reference would send of a full hub's rows: JSON, 500 records a
// request, with gzip at the level that Python takes if it is not told. (It does so when it
// pushes; what it pulls is not compressed at all.)
func (b *bench) referenceBytes(ctx context.Context) (n int64, err error) {
	if b.theirs > 0 {
		return b.theirs, nil
	}
	full, err := b.template(ctx, hubFull)
	if err != nil {
		return 0, err
	}
	d, err := db.Open(ctx, full, db.Options{MustExist: true})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if _, err := d.Attach(ctx); err != nil {
		return 0, err
	}
	n, err = gzipped(ctx, d, b.profile)
	b.theirs = n
	return n, err
}

// gzipped reads the store in the order of its rows, in which the reference sends: on PostgreSQL that
// in which they were saved.
func gzipped(ctx context.Context, d *db.DB, profile *model.Profile) (n int64, err error) {
	job := lacking.Job{Profile: profile, Filter: partition.All()}
	take := func(p lacking.Page) error {
		size, err := gzipSize(wire.AppendBuffers(nil, chunkSession, p.Records))
		n += size
		return err
	}
	if d.Kind() == db.SQLite {
		err = lacking.Pages(ctx, d, job, chunk, take)
	} else {
		err = inOrder(ctx, d, job, take)
	}
	return n, err
}

// inOrder reads what each of a database's instances has saved.
func inOrder(ctx context.Context, d *db.DB, job lacking.Job, take func(lacking.Page) error) error {
	var saved map[string]int64
	err := d.Read(ctx, func(tx *db.Tx) (err error) {
		saved, err = store.OwnInstances(ctx, tx)
		return err
	})
	for instance, to := range saved {
		if err == nil {
			err = lacking.Follow(ctx, d, job, lacking.Tail{Instance: instance, To: to}, chunk, take)
		}
	}
	return err
}

func gzipSize(body []byte) (int64, error) {
	var zipped bytes.Buffer
	z, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		return 0, err
	}
	_, err = z.Write(body)
	return int64(zipped.Len()), errors.Join(err, z.Close())
}
