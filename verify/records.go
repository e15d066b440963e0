package verify

import (
	"context"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/model"
)

const (
	everyRecord = `SELECT id, profile, model_name, partition, source_id,
		hard_deleted AND (serialized NOT IN ('', '{}') OR conflicting_serialized_data <> '') FROM morango_store`

	withoutVersion = `SELECT s.id, s.model_name, s.last_saved_instance, s.last_saved_counter FROM morango_store s
		WHERE NOT EXISTS (SELECT 1 FROM morango_recordmaxcounter r WHERE r.store_model_id = s.id
			AND r.instance_id = s.last_saved_instance AND r.counter >= s.last_saved_counter)`

	withoutRecord = `SELECT r.store_model_id, r.instance_id, r.counter FROM morango_recordmaxcounter r
		WHERE NOT EXISTS (SELECT 1 FROM morango_store s WHERE s.id = r.store_model_id)`

	aboveCounter = `SELECT store_model_id, counter FROM morango_recordmaxcounter WHERE instance_id = $1 AND counter > $2`
)

// records checks each record by itself: its id, and that nothing is left of what is
// deleted hard.
func (c *check) records(ctx context.Context) error {
	return c.each(ctx, "the records", everyRecord, nil, func(row scanner) error {
		var id db.ID
		var profile, name, partition, sourceID string
		var left bool
		if err := row.Scan(&id, &profile, &name, &partition, &sourceID, &left); err != nil {
			return err
		}
		c.report.Checked.Records++
		if left {
			c.find(HardDeletedText, string(id), name, "it is deleted hard, and text is left of it")
		}
		if profile != c.profile.Name {
			return nil // by which rule its id is made is not known here
		}
		m, ok := c.profile.Model(name)
		if !ok {
			m = &model.Model{Name: name}
		}
		if err := m.CheckID(string(id), partition, sourceID); err != nil {
			c.find(RecordID, string(id), name, "its partition and source id give the id %s", m.IDOf(placed(partition, string(id)), sourceID))
		}
		return nil
	})
}

// histories compares versions with record max counters, and both with the counters of
// this database's own instances.
func (c *check) histories(ctx context.Context) error {
	err := c.tx.QueryRow(ctx, `SELECT COUNT(*) FROM morango_recordmaxcounter`).Scan(&c.report.Checked.Histories)
	if err != nil {
		return err
	}
	err = c.each(ctx, "versions", withoutVersion, nil, func(row scanner) error {
		var id, instance db.ID
		var name string
		var n int64
		err := row.Scan(&id, &name, &instance, &n)
		c.find(NoVersion, string(id), name, "its record max counters lack its own version, %d of instance %s", n, instance)
		return err
	})
	if err != nil {
		return err
	}
	err = c.each(ctx, "record max counters", withoutRecord, nil, func(row scanner) error {
		var id, instance db.ID
		var n int64
		err := row.Scan(&id, &instance, &n)
		c.find(NoRecord, string(id), "", "it was here in version %d of instance %s, and the store has lost it", n, instance)
		return err
	})
	if err != nil {
		return err
	}
	for _, instance := range sorted(c.own) {
		err := c.each(ctx, "counters", aboveCounter, []any{instance, c.own[instance]}, func(row scanner) error {
			var id db.ID
			var n int64
			err := row.Scan(&id, &n)
			c.find(CounterBehind, string(id), "", "it was saved here at %d, and the counter of this instance, %s, stands at %d", n, instance, c.own[instance])
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
