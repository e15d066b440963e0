package app_test

import (
	"testing"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/model"
)

// TestDigestCutsTimes holds rows against each other that differ by what does not
// travel, parts of a millisecond, and by what does.
func TestDigestCutsTimes(t *testing.T) {
	profile := &model.Profile{Name: "log", Capture: model.CaptureTriggers, Models: []*model.Model{{
		Name: "entry", Table: "entry", Source: model.SourceRule{Kind: model.SourceRandom},
		Columns: []model.Column{
			{Name: "id", Type: model.UUID},
			{Name: model.ColumnSourceID, Type: model.Text, Length: 96},
			{Name: model.ColumnPartition, Type: model.Text, Length: 128},
			{Name: "at", Type: model.DateTime},
		},
		Partition: []model.PartitionRule{{Template: "all"}},
	}}}
	digest := func(at string) (text string) {
		d := dbtest.New(t)
		initialize(t, d, profile)
		apply(t, d, `INSERT INTO entry (id, _morango_source_id, _morango_partition, at) VALUES ('`+id("a")+`', 's', 'all', '`+at+`')`)
		run(t, d, func(tx *db.Tx) (err error) {
			text, err = app.Digest(t.Context(), tx, profile)
			return err
		})
		return text
	}
	want := digest("2026-11-22 04:20:46")
	for _, at := range []string{"2026-11-22 04:20:46.000010", "2026-11-22 04:20:46.000999"} {
		if got := digest(at); got != want {
			t.Errorf("the digest tells %s from the whole second", at)
		}
	}
	if digest("2026-11-22 04:20:46.001000") == want {
		t.Error("the digest does not see a millisecond")
	}
}
