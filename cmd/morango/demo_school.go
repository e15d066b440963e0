package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"time"

	_ "modernc.org/sqlite" // the application's own driver; it could be any program in any language

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/model"
)

// school is the application of the demonstration: it writes its own tables with plain
// SQL over its own connection. All that it takes from MoranGo are ids.
type school struct {
	db      *sql.DB
	profile *model.Profile
	school  string // id of the root certificate
}

func openSchool(file string, p *model.Profile) (*school, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("open %s as the application: %w", file, err)
	}
	return &school{db: db, profile: p}, nil
}

func (s *school) close() error { return s.db.Close() }

// within runs f in one transaction.
func (s *school) within(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

// identity computes what a new row must carry. Source id and partition could be left
// empty: the engine fills them in. The id cannot.
func (s *school) identity(name string, columns map[string]string) (morango.RecordID, error) {
	m, ok := s.profile.Model(name)
	if !ok {
		return morango.RecordID{}, fmt.Errorf("no model %s", name)
	}
	columns["school_id"] = s.school
	return morango.NewRecordID(m, columns)
}

// fill writes n records: classes of 30 learners, named after class, and attempts of the
// learners.
func (s *school) fill(ctx context.Context, class string, n int) error {
	learners := max(1, n/12)
	classes := max(1, learners/30)
	return s.within(ctx, func(tx *sql.Tx) error {
		var classIDs, learnerIDs []string
		for i := range classes {
			name := fmt.Sprintf("%s %d", class, i+1)
			id, err := s.identity("classroom", map[string]string{"name": name})
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO classroom (id, _morango_source_id, _morango_partition, school_id, name) VALUES (?, ?, ?, ?, ?)`,
				id.ID, id.SourceID, id.Partition, s.school, name); err != nil {
				return err
			}
			classIDs = append(classIDs, id.ID)
		}
		for i := range learners {
			id, err := s.identity("learner", map[string]string{})
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO learner (id, _morango_source_id, _morango_partition, school_id, classroom_id, name, birth_year) VALUES (?, ?, ?, ?, ?, ?, ?)`,
				id.ID, id.SourceID, id.Partition, s.school, classIDs[i%classes], fmt.Sprintf("Learner %d", i+1), 2010+i%8); err != nil {
				return err
			}
			learnerIDs = append(learnerIDs, id.ID)
		}
		return s.insertAttempts(ctx, tx, learnerIDs, n-learners-classes)
	})
}

// attempts writes n attempts of learners that are already there.
func (s *school) attempts(ctx context.Context, n int) error {
	return s.within(ctx, func(tx *sql.Tx) error {
		ids, err := texts(ctx, tx, `SELECT id FROM learner ORDER BY id LIMIT 100`)
		if err != nil {
			return err
		}
		return s.insertAttempts(ctx, tx, ids, n)
	})
}

func (s *school) insertAttempts(ctx context.Context, tx *sql.Tx, learners []string, n int) error {
	insert, err := tx.PrepareContext(ctx, `INSERT INTO attempt (id, _morango_source_id, _morango_partition, school_id, learner_id, exercise, score, answer, at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for i := range n {
		learner := learners[i%len(learners)]
		id, err := s.identity("attempt", map[string]string{"learner_id": learner})
		if err != nil {
			return err
		}
		_, err = insert.ExecContext(ctx, id.ID, id.SourceID, id.Partition, s.school, learner, fmt.Sprintf("exercise %d", i%40),
			float64(i%11)/10, fmt.Sprintf("the answer to question %d, in a sentence of ordinary length", i),
			time.Now().UTC().Format("2006-01-02 15:04:05.000000"))
		if err != nil {
			return err
		}
	}
	return nil
}

// rename changes the names of the first n learners.
func (s *school) rename(ctx context.Context, n int, suffix string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE learner SET name = name || ' ' || ? WHERE id IN (SELECT id FROM learner ORDER BY id LIMIT ?)`, suffix, n)
	return err
}

// remove deletes the first n attempts.
func (s *school) remove(ctx context.Context, n int) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM attempt WHERE id IN (SELECT id FROM attempt ORDER BY id LIMIT ?)`, n)
	return err
}

func texts(ctx context.Context, tx *sql.Tx, query string) (all []string, err error) {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}
