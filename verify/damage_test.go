package verify_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"slices"
	"testing"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/internal/conformance/tables"
	"github.com/morango-go/morango/model"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/stage/deserialize"
	"github.com/morango-go/morango/stage/serialize"
	"github.com/morango-go/morango/store"
	"github.com/morango-go/morango/verify"
)

// house is a database with rows, records, claims and certificates, in which nothing is
// wrong.
type house struct {
	t   *testing.T
	env stage.Env
	ids []string // of ten facilities, of which 1 to 9 lie under 0
}

const insertFacility = `INSERT INTO facility_profile_facility (id, name, now_date, parent_id, _morango_dirty_bit, _morango_source_id, _morango_partition)
	VALUES ($1, $2, '2026-01-02 03:04:05.678901', $3, TRUE, $2, '')`

func newHouse(t *testing.T, d *db.DB, certificates []*cert.Certificate) *house {
	h := &house{t: t, env: tables.Env(t, d)}
	tables.Load(t, d, 0, nil)
	for i := range 10 {
		name := fmt.Sprintf("facility %d", i)
		h.ids = append(h.ids, ident.Record("", name, "facility"))
		var parent any
		if i > 0 {
			parent = h.ids[0]
		}
		h.do(insertFacility, h.ids[i], name, parent)
	}
	must(t, h.settle(t.Context()))
	h.do(`INSERT INTO morango_databasemaxcounter (instance_id, partition, counter) VALUES ($1, 'p', 7)`, stranger)
	must(t, d.Write(t.Context(), func(tx *db.Tx) error {
		if err := session.SaveScopes(t.Context(), tx, h.env.Profile); err != nil {
			return err
		}
		for _, c := range certificates {
			if err := session.SaveCertificate(t.Context(), tx, c); err != nil {
				return err
			}
		}
		return nil
	}))
	return h
}

// stranger is an instance of somebody else, spare an id that nothing has.
const (
	stranger = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	spare    = "cccccccccccccccccccccccccccccccc"
)

// certificates makes a root with two children, for all houses of a test.
func certificates(t *testing.T) []*cert.Certificate {
	t.Helper()
	def, _ := tables.Profile(t).Scope("full-facility")
	def.Profile = tables.Profile(t).Name
	key, err := cert.GenerateKey(rand.Reader)
	must(t, err)
	root, err := cert.NewRoot(def, key, "", nil)
	must(t, err)
	list := []*cert.Certificate{root}
	for range 2 {
		child, err := cert.GenerateKey(rand.Reader)
		must(t, err)
		request := cert.Request{ParentID: root.ID, Profile: root.Profile, ScopeDefinition: root.ScopeDefinition,
			ScopeVersion: root.ScopeVersion, ScopeParams: root.ScopeParams, PublicKey: child.Public().String()}
		issued, err := root.Issue(request, "", func(id string) (model.ScopeDefinition, bool) { return def, id == def.ID })
		must(t, err)
		issued.PrivateKey = child.PEM()
		list = append(list, issued)
	}
	return list
}

// do runs a statement, as whoever does damage by hand would.
func (h *house) do(query string, args ...any) {
	h.t.Helper()
	must(h.t, h.env.DB.Write(h.t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(h.t.Context(), query, args...)
		return err
	}))
}

// unchecked runs a statement that the database's foreign keys would refuse.
func (h *house) unchecked(query string) {
	h.t.Helper()
	if h.env.DB.Kind() == db.Postgres {
		must(h.t, h.env.DB.Write(h.t.Context(), func(tx *db.Tx) error {
			if _, err := tx.Exec(h.t.Context(), `SET LOCAL session_replication_role = replica`); err != nil {
				return err
			}
			_, err := tx.Exec(h.t.Context(), query)
			return err
		}))
		return
	}
	pool, err := sql.Open("sqlite", h.env.DB.Path()+"?_pragma=busy_timeout(10000)")
	must(h.t, err)
	defer pool.Close()
	_, err = pool.ExecContext(h.t.Context(), query)
	must(h.t, err)
}

// transfer makes a sync session with a transfer session that has ended.
func (h *house) transfer() {
	h.t.Helper()
	ctx, now := h.t.Context(), h.env.Now()
	must(h.t, h.env.DB.Write(ctx, func(tx *db.Tx) error {
		if err := session.CreateSync(ctx, tx, session.Sync{ID: stranger, StartTime: now, LastTime: now, Profile: h.env.Profile.Name}); err != nil {
			return err
		}
		if err := session.CreateTransfer(ctx, tx, session.Transfer{ID: spare, SyncSessionID: stranger, StartTime: now, LastTime: now, ClientFSIC: "{}", ServerFSIC: "{}"}); err != nil {
			return err
		}
		return session.CloseTransfer(ctx, tx, spare, now)
	}))
}

// settle is what a facade gives a repair.
func (h *house) settle(ctx context.Context) error {
	if _, err := serialize.Run(ctx, h.env, partition.Filter{}, nil); err != nil {
		return err
	}
	_, err := deserialize.Run(ctx, h.env, partition.Filter{}, deserialize.Options{}, nil)
	return err
}

func (h *house) renew(ctx context.Context) error {
	return h.env.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := store.RenewDatabase(ctx, tx, h.env.Machine, func() string { return spare })
		return err
	})
}

func (h *house) verify() verify.Report {
	h.t.Helper()
	r, err := verify.Run(h.t.Context(), h.env.DB, h.env.Profile, verify.Options{})
	must(h.t, err)
	return r
}

func (h *house) repair(trust verify.Trust) verify.RepairReport {
	h.t.Helper()
	r := verify.Repair{DB: h.env.DB, Profile: h.env.Profile, Renew: h.renew, Settle: h.settle, Trust: trust}
	plan, err := r.Plan(h.t.Context(), verify.Options{})
	must(h.t, err)
	done, err := r.Run(h.t.Context(), verify.Options{})
	must(h.t, err)
	if len(plan.Mended) != len(done.Mended) {
		h.t.Errorf("planned to mend %v, mended %v", plan.Mended, done.Mended)
	}
	return done
}

func (h *house) count(query string, args ...any) (n int64) {
	h.t.Helper()
	must(h.t, h.env.DB.Read(h.t.Context(), func(tx *db.Tx) error { return tx.QueryRow(h.t.Context(), query, args...).Scan(&n) }))
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// damage is one way in which a database can be hurt.
type damage struct {
	name    string
	kind    verify.Kind
	count   int64
	do      func(h *house)
	trust   verify.Trust
	left    bool           // a repair cannot mend it
	untried bool           // with nobody trusted it must stay as it is
	after   func(h *house) // what must hold when it is mended
}

const facility = `UPDATE facility_profile_facility SET `

// damagesOfRows are those between rows and records.
func damagesOfRows() []damage {
	return []damage{
		{name: "row differs, the record wins", kind: verify.RowDiffers, count: 1, trust: verify.TrustStore, untried: true,
			do: func(h *house) { h.do(facility+`name = 'by hand', _morango_dirty_bit = FALSE WHERE id = $1`, h.ids[3]) },
			after: func(h *house) {
				if h.count(`SELECT COUNT(*) FROM facility_profile_facility WHERE name = 'facility 3'`) != 1 {
					h.t.Error("the record was not written over the row")
				}
			}},
		{name: "row differs, the row wins", kind: verify.RowDiffers, count: 1, trust: verify.TrustApplication, untried: true,
			do: func(h *house) {
				h.do(facility+`now_date = '2026-05-05 00:00:00', _morango_dirty_bit = FALSE WHERE id = $1`, h.ids[3])
			},
			after: func(h *house) {
				if h.count(`SELECT COUNT(*) FROM morango_store WHERE serialized LIKE '%2026-05-05%' AND last_saved_counter = 2`) != 1 {
					h.t.Error("the row did not become a new version")
				}
			}},
		{name: "row gone", kind: verify.RowMissing, count: 2,
			do: func(h *house) { h.do(`DELETE FROM facility_profile_facility WHERE id IN ($1, $2)`, h.ids[4], h.ids[5]) },
			after: func(h *house) {
				if h.count(`SELECT COUNT(*) FROM facility_profile_facility`) != 10 {
					h.t.Error("the rows did not come back")
				}
			}},
		{name: "row gone, as the application says", kind: verify.RowMissing, count: 1, trust: verify.TrustApplication,
			do: func(h *house) { h.do(`DELETE FROM facility_profile_facility WHERE id = $1`, h.ids[4]) },
			after: func(h *house) {
				if h.count(`SELECT COUNT(*) FROM morango_store WHERE deleted`) != 1 {
					h.t.Error("the record was not deleted")
				}
			}},
		{name: "row back from the dead", kind: verify.RowDeleted, count: 1, trust: verify.TrustStore, untried: true,
			do: func(h *house) { h.do(`UPDATE morango_store SET deleted = TRUE WHERE id = $1`, h.ids[6]) },
			after: func(h *house) {
				if h.count(`SELECT COUNT(*) FROM facility_profile_facility`) != 9 {
					h.t.Error("the row was not deleted")
				}
			}},
		{name: "row back from the dead, and stays", kind: verify.RowDeleted, count: 1, trust: verify.TrustApplication, untried: true,
			do: func(h *house) { h.do(`UPDATE morango_store SET deleted = TRUE WHERE id = $1`, h.ids[6]) }},
		{name: "text broken", kind: verify.TextUnreadable, count: 1, trust: verify.TrustApplication, untried: true,
			do: func(h *house) { h.do(`UPDATE morango_store SET serialized = '{"id": ' WHERE id = $1`, h.ids[7]) }},
		{name: "row that the store does not know", kind: verify.RowUnknown, count: 1, trust: verify.TrustApplication, untried: true,
			do: func(h *house) {
				h.do(insertFacility, ident.Record("", "new", "facility"), "new", h.ids[0])
				h.do(facility + `_morango_dirty_bit = FALSE`)
			}},
	}
}

// damagesOfCounters are those of versions, histories, claims and identity.
func damagesOfCounters() []damage {
	return []damage{
		{name: "own version missing in the history", kind: verify.NoVersion, count: 10,
			do: func(h *house) { h.do(`DELETE FROM morango_recordmaxcounter`) }},
		{name: "text left of a hard deletion", kind: verify.HardDeletedText, count: 1,
			do: func(h *house) {
				h.do(`DELETE FROM facility_profile_facility WHERE id = $1`, h.ids[8])
				h.do(`UPDATE morango_store SET deleted = TRUE, hard_deleted = TRUE WHERE id = $1`, h.ids[8])
			}},
		{name: "counter set back", kind: verify.CounterBehind, count: 10,
			do: func(h *house) {
				h.do(`UPDATE morango_instanceidmodel SET counter = 0`)
				h.do(`DELETE FROM morango_databasemaxcounter WHERE instance_id = $1`, tables.Instance())
			},
			after: func(h *house) {
				if h.count(`SELECT COUNT(*) FROM morango_instanceidmodel WHERE current AND id <> $1`, tables.Instance()) != 1 {
					h.t.Error("there is no new identity")
				}
			}},
		{name: "claim above our own counter", kind: verify.ClaimAhead, count: 1,
			do: func(h *house) {
				h.do(`INSERT INTO morango_databasemaxcounter (instance_id, partition, counter) VALUES ($1, 'q', 9)`, tables.Instance())
			},
			after: func(h *house) {
				if h.count(`SELECT MAX(counter) FROM morango_databasemaxcounter WHERE instance_id = $1`, tables.Instance()) != 1 {
					h.t.Error("the claim was not lowered to our counter")
				}
			}},
		{name: "claim that says nothing new", kind: verify.ClaimNoise, count: 2,
			do: func(h *house) {
				h.do(`INSERT INTO morango_databasemaxcounter (instance_id, partition, counter) VALUES ($1, 'p:%', 7), ($1, 'p:a:b', 3), ($1, 'p:c', 8), ($1, 'o', 2)`, stranger)
			},
			after: func(h *house) {
				if h.count(`SELECT COUNT(*) FROM morango_databasemaxcounter WHERE instance_id = $1`, stranger) != 3 {
					h.t.Error("other claims went too")
				}
			}},
	}
}

// damagesOfOthers are those of certificates, sessions and what records refer to.
func damagesOfOthers() []damage {
	return []damage{
		{name: "nested sets wrong", kind: verify.CertificateTree, count: 3,
			do: func(h *house) { h.do(`UPDATE morango_certificate SET lft = 1, rght = 2, level = 1`) }},
		{name: "signature wrong", kind: verify.Certificate, count: 1, left: true,
			do: func(h *house) { h.do(`UPDATE morango_certificate SET signature = 'AAAA' WHERE parent_id IS NULL`) }},
		{name: "private key of another", kind: verify.CertificateKey, count: 1, left: true,
			do: func(h *house) {
				h.do(`UPDATE morango_certificate SET private_key = (SELECT MAX(private_key) FROM morango_certificate)
					WHERE private_key = (SELECT MIN(private_key) FROM morango_certificate)`)
			}},
		{name: "id that is no hash", kind: verify.RecordID, count: 1, left: true,
			do: func(h *house) { h.do(`UPDATE morango_store SET source_id = 'another' WHERE id = $1`, h.ids[9]) }},
		{name: "record lost, its history left", kind: verify.NoRecord, count: 1,
			do: func(h *house) {
				h.do(`DELETE FROM facility_profile_facility WHERE id = $1`, h.ids[9])
				h.unchecked(`DELETE FROM morango_store WHERE id = '` + h.ids[9] + `'`)
			},
			after: func(h *house) { // nobody may think that we have what we saved
				if n := h.count(`SELECT COUNT(*) FROM morango_databasemaxcounter WHERE instance_id = $1`, tables.Instance()); n != 0 {
					h.t.Errorf("%d claims on the lost record are left", n)
				}
				must(h.t, h.settle(h.t.Context()))
				if n := h.count(`SELECT COUNT(*) FROM morango_databasemaxcounter WHERE instance_id = $1`, tables.Instance()); n != 0 {
					h.t.Errorf("serialize claims the lost record again")
				}
			}},
		{name: "reference to nothing", kind: verify.Reference, count: 1, left: true,
			do: func(h *house) {
				h.unchecked(facility + `parent_id = '` + spare + `', _morango_dirty_bit = FALSE WHERE id = '` + h.ids[2] + `'`)
				h.do(`UPDATE morango_store SET serialized = replace(serialized, $1, $2), _self_ref_fk = $2 WHERE id = $3`, h.ids[0], spare, h.ids[2])
			}},
		{name: "buffer of a closed session", kind: verify.BufferOrphan, count: 1,
			do: func(h *house) {
				h.transfer()
				h.do(`INSERT INTO morango_buffer (transfer_session_id, model_uuid, profile, model_name, partition, source_id, serialized,
					conflicting_serialized_data, deleted, hard_deleted, last_saved_instance, last_saved_counter, _self_ref_fk)
					VALUES ($1, $1, 'facilitydata', 'facility', '', 'x', '{}', '', FALSE, FALSE, $1, 1, '')`, spare)
			}},
		{name: "transfer session without its sync session", kind: verify.TransferOrphan, count: 1,
			do: func(h *house) {
				h.transfer()
				h.unchecked(`DELETE FROM morango_syncsession`)
			}},
		{name: "two database ids", kind: verify.TwoIdentities, count: 1,
			do: func(h *house) {
				h.do(`INSERT INTO morango_databaseidmodel (id, current, date_generated, initial_instance_id) VALUES ($1, TRUE, '2026-01-01 00:00:00', '')`, stranger)
			}},
	}
}

// Every damage is found for what it is, mended or said to be beyond mending, and nothing
// else is touched.
func TestDamageIsFoundAndMended(t *testing.T) {
	chain := certificates(t)
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, c := range slices.Concat(damagesOfRows(), damagesOfCounters(), damagesOfOthers()) {
			t.Run(c.name, func(t *testing.T) {
				must(t, empty(t.Context(), d))
				h := newHouse(t, d, chain)
				if r := h.verify(); len(r.Found) > 0 {
					t.Fatalf("before: %+v", r.Found)
				}
				c.do(h)
				r := h.verify()
				if f := r.Of(c.kind); len(r.Found) != 1 || f.Count != c.count || r.Clean() == (c.kind != verify.ClaimNoise) {
					t.Fatalf("found %+v, want %d of %s", r.Found, c.count, c.kind)
				}
				if c.untried {
					if r := h.repair(verify.TrustNobody); len(r.Mended) > 0 || r.Left.Of(c.kind).Count != c.count {
						t.Errorf("without trust: %+v", r)
					}
				}
				done := h.repair(c.trust)
				if c.left {
					if done.Left.Of(c.kind).Count != c.count || len(done.Mended) > 0 {
						t.Errorf("mended: %+v", done)
					}
					return
				}
				if len(done.Left.Found) > 0 || len(done.Mended) != 1 || done.Mended[0] != (verify.Mended{Kind: c.kind, Count: c.count}) {
					t.Errorf("not mended: %+v", done)
				}
				if c.after != nil {
					c.after(h)
				}
			})
		}
	})
}

// empty clears what tables.Load does not know.
func empty(ctx context.Context, d *db.DB) error {
	return d.Write(ctx, func(tx *db.Tx) error {
		for _, table := range []string{"morango_transfersession", "morango_syncsession", "morango_certificate"} {
			if _, err := tx.Exec(ctx, "DELETE FROM "+table); err != nil {
				return err
			}
		}
		return nil
	})
}
