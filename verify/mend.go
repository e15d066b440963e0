package verify

import (
	"context"
	"fmt"

	"github.com/morango-go/morango/app"
	"github.com/morango-go/morango/buffer"
	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/store"
)

// mendAtOnce is how many findings are mended in one transaction.
const mendAtOnce = 1000

// inPages looks for findings of a kind and mends a page of them, each time in a
// transaction of its own and under the locks of everything, until none is left or
// mending does not help.
func (r Repair) inPages(ctx context.Context, k Kind, look func(*check, context.Context) error, mend func(context.Context, *db.Tx, []Example) error) error {
	for last := int64(-1); ; {
		var found Found
		err := r.DB.Write(ctx, func(tx *db.Tx) error {
			if err := tx.Lock(ctx, partition.All(), false); err != nil {
				return err
			}
			c := &check{profile: r.Profile, options: Options{Examples: mendAtOnce}}
			c.begin(tx)
			if err := c.identity(ctx); err != nil {
				return err
			}
			if err := look(c, ctx); err != nil {
				return err
			}
			if found = c.finish().Of(k); found.Count == 0 {
				return nil
			}
			return mend(ctx, tx, found.Examples)
		})
		if err != nil {
			return err
		}
		if found.Count <= mendAtOnce || found.Count == last {
			return nil
		}
		last = found.Count
	}
}

// objects are what findings are about, as the argument of a statement.
func objects(found []Example) string {
	ids := make([]string, len(found))
	for i, e := range found {
		ids[i] = e.Object
	}
	return db.JSONList(ids)
}

// onObjects is a mend by one statement over the ids of the findings.
func onObjects(query string) func(context.Context, *db.Tx, []Example) error {
	return func(ctx context.Context, tx *db.Tx, found []Example) error {
		_, err := tx.Exec(ctx, fmt.Sprintf(query, tx.IDs(1)), objects(found))
		return err
	}
}

// onTexts is onObjects for a statement that changes what is in the store.
func onTexts(query string) func(context.Context, *db.Tx, []Example) error {
	return func(ctx context.Context, tx *db.Tx, found []Example) error {
		ids := make([]string, len(found))
		for i, e := range found {
			ids[i] = e.Object
		}
		if err := store.TouchRecords(ctx, tx, ids); err != nil {
			return err
		}
		return onObjects(query)(ctx, tx, found)
	}
}

// blank removes what is left of records that are deleted hard. The version stays: it
// is the version in which there was to be nothing.
func (r Repair) blank(ctx context.Context) error {
	return r.inPages(ctx, HardDeletedText, (*check).records,
		onTexts(`UPDATE morango_store SET serialized = '{}', conflicting_serialized_data = '' WHERE hard_deleted AND id IN %s`))
}

// addVersions puts each record's own version into its history, where it is by definition.
func (r Repair) addVersions(ctx context.Context) error {
	return r.inPages(ctx, NoVersion, (*check).histories,
		onObjects(`INSERT INTO morango_recordmaxcounter (store_model_id, instance_id, counter)
			SELECT id, last_saved_instance, last_saved_counter FROM morango_store WHERE id IN %s
			ON CONFLICT (store_model_id, instance_id) DO UPDATE SET counter = excluded.counter
			WHERE excluded.counter > morango_recordmaxcounter.counter`))
}

// forgetRecords takes back the claims on records of which only the history is left, so
// that peers send them again, and then forgets the history.
func (r Repair) forgetRecords(ctx context.Context) error {
	if err := r.retire(ctx, withoutRecord+` AND r.instance_id IN (`+living+`)`); err != nil {
		return err
	}
	return r.inPages(ctx, NoRecord, (*check).histories, func(ctx context.Context, tx *db.Tx, found []Example) error {
		var missing []counter.Version
		const query = `SELECT instance_id, MIN(counter) FROM morango_recordmaxcounter WHERE store_model_id IN %s GROUP BY instance_id`
		err := each(ctx, tx, "lost records", fmt.Sprintf(query, tx.IDs(1)), []any{objects(found)}, func(row scanner) error {
			var v counter.Version
			err := row.Scan((*db.ID)(&v.Instance), &v.Counter)
			missing = append(missing, v)
			return err
		})
		if err != nil {
			return err
		}
		for _, v := range missing {
			if err := store.Lower(ctx, tx, "", v); err != nil {
				return err
			}
		}
		return onObjects(`DELETE FROM morango_recordmaxcounter WHERE store_model_id IN %s`)(ctx, tx, found)
	})
}

// living are the instances under the database id in use.
const living = `SELECT id FROM morango_instanceidmodel WHERE current
	OR database_id IN (SELECT id FROM morango_databaseidmodel WHERE current)`

// TakeBack takes back the claim on what is lost here, so that the peer that has it sends
// it with the next pull. Other differences need nothing of the kind.
func (r Repair) TakeBack(ctx context.Context, d Difference) error {
	if d.Verdict != LostHere {
		return nil
	}
	if err := r.retire(ctx, `SELECT id FROM (`+living+`) mine WHERE id = $1`, d.lost.Instance); err != nil {
		return err
	}
	return r.DB.Write(ctx, func(tx *db.Tx) error {
		if err := tx.Lock(ctx, partition.All(), false); err != nil {
			return err
		}
		return store.Lower(ctx, tx, d.Partition, d.lost)
	})
}

// retire gives the database a new identity when a query finds something: what one of its
// instances has saved, and is lost, could not be claimed less while that can save more.
func (r Repair) retire(ctx context.Context, query string, args ...any) error {
	lost := false
	err := r.DB.Read(ctx, func(tx *db.Tx) error {
		return each(ctx, tx, "lost records", `SELECT 1 FROM (`+query+` LIMIT 1) one`, args, func(scanner) error {
			lost = true
			return nil
		})
	})
	if err != nil || !lost {
		return err
	}
	return r.Renew(ctx)
}

// lowerOwnClaims takes back what is claimed of own instances above their counters: there
// are no such versions.
func (r Repair) lowerOwnClaims(ctx context.Context) error {
	return r.inPages(ctx, ClaimAhead, (*check).claims, func(ctx context.Context, tx *db.Tx, _ []Example) error {
		own, err := store.LivingInstances(ctx, tx)
		if err != nil {
			return err
		}
		for instance, n := range own {
			if err := store.Lower(ctx, tx, "", counter.Version{Instance: instance, Counter: n + 1}); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropNoise deletes claims that wider ones include.
func (r Repair) dropNoise(ctx context.Context) error {
	return r.inPages(ctx, ClaimNoise, (*check).claims, func(ctx context.Context, tx *db.Tx, found []Example) error {
		for _, e := range found {
			if _, err := tx.Exec(ctx, `DELETE FROM morango_databasemaxcounter WHERE instance_id = $1 AND partition = $2`, e.Object, e.Partition); err != nil {
				return err
			}
		}
		return nil
	})
}

// missingRows has records written again whose rows are gone; or deleted, where the
// application is trusted.
func (r Repair) missingRows(ctx context.Context) error {
	return r.inPages(ctx, RowMissing, (*check).absent, func(ctx context.Context, tx *db.Tx, found []Example) error {
		if r.Trust != TrustApplication {
			return onObjects(`UPDATE morango_store SET dirty_bit = TRUE WHERE id IN %s`)(ctx, tx, found)
		}
		ids := make([]string, len(found))
		for i, e := range found {
			ids[i] = e.Object
		}
		_, err := app.RecordDeletions(ctx, tx, r.Profile.Name, ids, false, false)
		return err
	})
}

// rebuildTrees places the certificates anew.
func (r Repair) rebuildTrees(ctx context.Context) error {
	return r.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := session.RebuildTrees(ctx, tx)
		return err
	})
}

// dropBuffers drops the buffers of sessions that are not open.
func (r Repair) dropBuffers(ctx context.Context) error {
	return r.inPages(ctx, BufferOrphan, (*check).sessions, func(ctx context.Context, tx *db.Tx, found []Example) error {
		for _, e := range found {
			if err := buffer.Drop(ctx, tx, e.Object); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropTransfers deletes transfer sessions without a sync session, and their buffers.
func (r Repair) dropTransfers(ctx context.Context) error {
	return r.inPages(ctx, TransferOrphan, (*check).sessions, func(ctx context.Context, tx *db.Tx, found []Example) error {
		for _, e := range found {
			if err := buffer.Drop(ctx, tx, e.Object); err != nil {
				return err
			}
			if err := session.DeleteTransfer(ctx, tx, e.Object); err != nil {
				return err
			}
		}
		return nil
	})
}
