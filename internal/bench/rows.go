package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/model"
)

// rowsOfUser is how many rows a learner leaves behind: itself, a membership, and what it
// worked on, as in a Kolibri that is used for exercises. Their JSON texts have about 700
// bytes on average.
const (
	summariesOfUser = 6
	masteriesOfUser = 4
	sessionsOfUser  = 10
	attemptsOfUser  = 28
	rowsOfUser      = 2 + summariesOfUser + masteriesOfUser + sessionsOfUser + attemptsOfUser
)

// maker makes rows for the application's tables. The same seed makes the same rows.
type maker struct {
	profile *model.Profile
	kind    db.Kind
	random  *rand.Rand
	root    string // id of the dataset
	clock   time.Time
	rows    map[string][][]any // by model, in the order of insert
	broken  error
}

func newMaker(profile *model.Profile, kind db.Kind, root string, seed byte) *maker {
	return &maker{profile: profile, kind: kind, root: root, rows: map[string][][]any{},
		random: rand.New(rand.NewChaCha8([32]byte{seed})),
		clock:  time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}
}

func (m *maker) id() string {
	var b [16]byte
	for i := range b {
		b[i] = byte(m.random.Uint32())
	}
	return hex.EncodeToString(b[:])
}

// moment is a later one at each call.
func (m *maker) moment() string {
	m.clock = m.clock.Add(time.Duration(m.random.IntN(90_000_000)) * time.Microsecond)
	return m.clock.Format("2006-01-02 15:04:05.000000") + "(Europe/Berlin)"
}

// add makes one row and returns its id. Columns that are not given have their defaults.
func (m *maker) add(name string, values map[string]any) string {
	of, ok := m.profile.Model(name)
	if !ok {
		m.broken = fmt.Errorf("the profile has no model %s", name)
		return ""
	}
	get := func(column string) (string, bool) {
		v, ok := values[column]
		return fmt.Sprint(v), ok && v != nil
	}
	source, err := of.SourceIDOf(get, m.id)
	if err != nil {
		m.broken = err
		return ""
	}
	partition, err := of.PartitionOf(func(column string) (string, bool) {
		if column == model.ColumnID {
			return ident.Placeholder, true
		}
		return get(column)
	})
	if err != nil {
		m.broken = err
		return ""
	}
	id := of.IDOf(partition, source)
	values[model.ColumnID], values[model.ColumnSourceID] = id, source
	values[model.ColumnPartition] = strings.ReplaceAll(partition, ident.Placeholder, id)
	row := make([]any, 0, len(of.Columns)+1)
	for i := range of.Columns {
		c := &of.Columns[i]
		v, given := values[c.Name]
		if !given && c.Default != nil {
			v = c.Default.Value
		}
		row = append(row, app.Bind(m.kind, c, v))
	}
	m.rows[name] = append(m.rows[name], append(row, true)) // dirty
	return id
}

// classrooms of the school, over which the learners are spread.
const classrooms = 8

// school makes what is there before any learner, and returns the facility's and the
// classrooms' ids. It is the same in all databases of one dataset.
func (m *maker) school() (facility string, rooms []string) {
	m.add("facilitydataset", map[string]any{model.ColumnSourceID: m.root, "description": "", "location": ""})
	facility = m.add("facility", map[string]any{"dataset_id": m.root, "name": "Lindenschule", "kind": "facility"})
	for i := range classrooms {
		rooms = append(rooms, m.add("classroom", map[string]any{
			"dataset_id": m.root, "name": fmt.Sprintf("Class %d", i+1), "parent_id": facility, "kind": "classroom"}))
	}
	return facility, rooms
}

// learner makes one user with all that belongs to it, and returns the user's id.
func (m *maker) learner(facility string, rooms []string) string {
	number := m.random.Uint32()
	user := m.add("facilityuser", map[string]any{
		"password": "pbkdf2_sha256$260000$" + m.id()[:22] + "$" + m.id() + "=", "dataset_id": m.root,
		"username": fmt.Sprintf("learner%d", number), "full_name": fmt.Sprintf("Learner Number %d", number),
		"date_joined": m.moment(), "facility_id": facility, "gender": "NOT_SPECIFIED", "birth_year": "2014",
	})
	m.add("membership", map[string]any{"dataset_id": m.root, "user_id": user, "collection_id": rooms[int(number)%len(rooms)]})
	channel := rooms[0] // any id will do
	var summaries, masteries, sessions []string
	for range summariesOfUser {
		summaries = append(summaries, m.add("contentsummarylog", map[string]any{
			"dataset_id": m.root, "user_id": user, "content_id": m.id(), "channel_id": channel, "start_timestamp": m.moment(),
			"end_timestamp": m.moment(), "time_spent": m.random.Float64() * 900, "progress": m.random.Float64(), "kind": "exercise"}))
	}
	for i := range masteriesOfUser {
		masteries = append(masteries, m.add("masterylog", map[string]any{
			"dataset_id": m.root, "user_id": user, "summarylog_id": summaries[i], "mastery_level": int64(1), "start_timestamp": m.moment(),
			"mastery_criterion": `{"type": "m_of_n", "m": 3, "n": 5}`, "time_spent": m.random.Float64() * 300}))
	}
	for range sessionsOfUser {
		sessions = append(sessions, m.add("contentsessionlog", map[string]any{
			"dataset_id": m.root, "user_id": user, "content_id": m.id(), "channel_id": channel, "start_timestamp": m.moment(),
			"end_timestamp": m.moment(), "time_spent": m.random.Float64() * 300, "kind": "exercise"}))
	}
	for i := range attemptsOfUser {
		m.attempt(user, masteries[i%len(masteries)], sessions[i%len(sessions)])
	}
	return user
}

// attempt makes the record of one answer to one question.
func (m *maker) attempt(user, mastery, session string) {
	answer := fmt.Sprintf("%d", m.random.IntN(1000))
	correct := float64(m.random.IntN(2))
	history, err := json.Marshal([]map[string]any{{"type": "answer", "correct": correct, "answer": answer}})
	if err != nil {
		m.broken = err
	}
	m.add("attemptlog", map[string]any{
		"dataset_id": m.root, "item": m.id(), "start_timestamp": m.moment(), "end_timestamp": m.moment(),
		"completion_timestamp": m.moment(), "time_spent": m.random.Float64() * 60, "complete": true, "correct": correct,
		"answer": `{"value": ` + answer + `}`, "simple_answer": answer, "interaction_history": string(history),
		"user_id": user, "masterylog_id": mastery, "sessionlog_id": session})
}

// insert writes the rows made so far and forgets them.
func (m *maker) insert(ctx context.Context, d *db.DB) error {
	if m.broken != nil {
		return m.broken
	}
	err := d.Write(ctx, func(tx *db.Tx) error {
		if err := tx.LookUp(ctx); err != nil { // tables were empty when PostgreSQL planned how to check foreign keys
			return err
		}
		for _, of := range m.profile.Models {
			var columns []string
			for i := range of.Columns {
				columns = append(columns, of.Columns[i].Name)
			}
			into := db.Insert{Table: of.Table, Columns: append(columns, model.ColumnDirty)}
			if err := tx.InsertAll(ctx, into, m.rows[of.Name]); err != nil {
				return fmt.Errorf("fill table %s: %w", of.Table, err)
			}
		}
		return nil
	})
	clear(m.rows)
	return err
}

// Seeds: the school, the learners of a database, those of the clients of job eight, and those of job fair.
const (
	seedSchool   = 1
	seedLearners = 2
	seedEight    = 100
	seedOther    = 200
	seedSmall    = 201
)

// fill writes n rows of learners into a database, changed and not yet serialized.
func fill(ctx context.Context, d *db.DB, profile *model.Profile, root string, seed byte, n int) error {
	facility, rooms := newMaker(profile, d.Kind(), root, seedSchool).school()
	m := newMaker(profile, d.Kind(), root, seed)
	for i := range n / rowsOfUser {
		m.learner(facility, rooms)
		if i%100 == 99 {
			if err := m.insert(ctx, d); err != nil {
				return err
			}
		}
	}
	return m.insert(ctx, d)
}

// firstLearner is the user whose partition the job user asks for.
func firstLearner(profile *model.Profile, root string) string {
	facility, rooms := newMaker(profile, db.SQLite, root, seedSchool).school()
	return newMaker(profile, db.SQLite, root, seedLearners).learner(facility, rooms)
}
