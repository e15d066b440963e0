package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/session"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)

func id(n int) string { return fmt.Sprintf("%032x", n) }

// write runs f in a write transaction and fails the test on an error.
func write(t *testing.T, d *db.DB, f func(context.Context, *db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), func(tx *db.Tx) error { return f(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

// read runs f in a read transaction, fails the test on an error, and returns f's value.
func read[T any](t *testing.T, d *db.DB, f func(context.Context, *db.Tx) (T, error)) T {
	t.Helper()
	v, err := try(t, d, f)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func try[T any](t *testing.T, d *db.DB, f func(context.Context, *db.Tx) (T, error)) (T, error) {
	t.Helper()
	var v T
	err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		v, err = f(t.Context(), tx)
		return err
	})
	return v, err
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func newSync(n int, start time.Time) session.Sync {
	return session.Sync{
		ID: id(n), StartTime: start, LastTime: start, Active: true, Profile: "facilitydata",
		ConnectionKind: "network", ConnectionPath: "http://hub", ClientIP: "10.0.0.1", ServerIP: "10.0.0.2",
		ClientInstanceID: id(100), ClientInstanceJSON: `{"id": "x"}`, ServerInstanceJSON: "{}", ExtraFields: "{}",
		ProcessID: 42,
	}
}

func newTransfer(n, sync int, push bool, start time.Time) session.Transfer {
	return session.Transfer{
		ID: id(n), SyncSessionID: id(sync), Filter: "a\nb", Push: push, Active: true,
		StartTime: start, LastTime: start, ClientFSIC: "{}", ServerFSIC: "{}", Within: newSync(sync, noon).Within(),
	}
}

func TestSyncSession(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSync(1, noon)
		write(t, d, func(ctx context.Context, tx *db.Tx) error { return session.CreateSync(ctx, tx, s) })
		get := func(ctx context.Context, tx *db.Tx) (session.Sync, error) { return session.GetSync(ctx, tx, s.ID) }
		equal(t, "as created", read(t, d, get), s)

		err := d.Write(t.Context(), func(tx *db.Tx) error { return session.CreateSync(t.Context(), tx, s) })
		if !errors.Is(err, session.ErrExists) {
			t.Errorf("created twice: %v", err)
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			return session.SetProcess(ctx, tx, s.ID, 0)
		})
		s.ProcessID = 0
		equal(t, "without a process", read(t, d, get), s)

		for range 2 {
			write(t, d, func(ctx context.Context, tx *db.Tx) error { return session.CloseSync(ctx, tx, s.ID, s.LastTime) })
		}
		s.Active = false
		equal(t, "closed", read(t, d, get), s)
		_, err = try(t, d, func(ctx context.Context, tx *db.Tx) (session.Sync, error) {
			return session.ActiveSync(ctx, tx, s.ID)
		})
		if !errors.Is(err, session.ErrNotFound) {
			t.Errorf("closed one as active: %v", err)
		}
	})
}

func TestResumableSync(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		older, newer, other, served, closed := newSync(1, noon), newSync(2, noon.Add(time.Minute)),
			newSync(3, noon.Add(2*time.Minute)), newSync(4, noon.Add(3*time.Minute)), newSync(5, noon.Add(4*time.Minute))
		other.ConnectionPath, served.IsServer, closed.Active = "http://other", true, false
		write(t, d, func(ctx context.Context, tx *db.Tx) (err error) {
			for _, s := range []session.Sync{older, newer, other, served, closed} {
				err = errors.Join(err, session.CreateSync(ctx, tx, s))
			}
			return err
		})
		for path, want := range map[string]string{"http://hub": newer.ID, "": other.ID} {
			got := read(t, d, func(ctx context.Context, tx *db.Tx) (session.Sync, error) {
				return session.ResumableSync(ctx, tx, "facilitydata", path)
			})
			equal(t, "resumable with "+path, got.ID, want)
		}
		_, err := try(t, d, func(ctx context.Context, tx *db.Tx) (session.Sync, error) {
			return session.ResumableSync(ctx, tx, "otherprofile", "")
		})
		if !errors.Is(err, session.ErrNotFound) {
			t.Errorf("of another profile: %v", err)
		}
		for active, want := range map[bool][]string{true: {served.ID, other.ID}, false: {closed.ID, served.ID}} {
			list := read(t, d, func(ctx context.Context, tx *db.Tx) ([]session.Sync, error) {
				return session.ListSyncs(ctx, tx, active, 2)
			})
			equal(t, "newest two", []string{list[0].ID, list[1].ID}, want)
		}
	})
}

func TestTransferSession(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		want := newTransfer(10, 1, true, noon)
		later := noon.Add(time.Minute)
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(session.CreateSync(ctx, tx, newSync(1, noon)), session.CreateTransfer(ctx, tx, want))
		})
		get := func(ctx context.Context, tx *db.Tx) (session.Transfer, error) {
			return session.ActiveTransfer(ctx, tx, want.ID)
		}
		equal(t, "as created", read(t, d, get), want)

		total := int64(7)
		counted := want
		counted.RecordsTotal = &total
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(
				session.SetStage(ctx, tx, want.ID, "transferring", "started", noon),
				session.SetClientFSIC(ctx, tx, want.ID, `{"a": 1}`),
				session.SetServerFSIC(ctx, tx, want.ID, `{"b": 2}`),
				session.Write(ctx, tx, want, &counted, noon),
				session.SetProgress(ctx, tx, want.ID, session.Progress{RecordsTransferred: 3, BytesSent: 1 << 40, BytesReceived: 5}, later),
			)
		})
		want.Stage, want.Status, want.ClientFSIC, want.ServerFSIC = "transferring", "started", `{"a": 1}`, `{"b": 2}`
		want.RecordsTotal, want.RecordsTransferred, want.BytesSent, want.BytesReceived = &total, 3, 1<<40, 5
		want.LastTime, want.Within.LastTime = later, later
		equal(t, "updated", read(t, d, get), want)
		sync := read(t, d, func(ctx context.Context, tx *db.Tx) (session.Sync, error) { return session.GetSync(ctx, tx, id(1)) })
		equal(t, "the sync session's last activity", sync.LastTime, later)

		write(t, d, func(ctx context.Context, tx *db.Tx) error { return session.CloseTransfer(ctx, tx, want.ID, later) })
		if _, err := try(t, d, get); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("closed one as active: %v", err)
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error { return session.SetClientFSIC(t.Context(), tx, id(99), "{}") })
		if !errors.Is(err, session.ErrNotFound) {
			t.Errorf("update of none: %v", err)
		}
	})
}

func TestTransfersOfSync(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		first, second := newTransfer(10, 1, true, noon), newTransfer(11, 1, true, noon.Add(time.Minute))
		pull, closed := newTransfer(12, 1, false, noon.Add(2*time.Minute)), newTransfer(13, 1, true, noon.Add(3*time.Minute))
		closed.Active = false
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			err := session.CreateSync(ctx, tx, newSync(1, noon))
			for _, x := range []session.Transfer{closed, first, second, pull} {
				err = errors.Join(err, session.CreateTransfer(ctx, tx, x))
			}
			return err
		})
		list := read(t, d, func(ctx context.Context, tx *db.Tx) ([]session.Transfer, error) {
			return session.ActiveOfSync(ctx, tx, id(1), true)
		})
		equal(t, "active pushes", list, []session.Transfer{second, first})
	})
}

func TestIdle(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(
				session.CreateSync(ctx, tx, newSync(1, noon)), session.CreateSync(ctx, tx, newSync(2, noon)),
				session.CreateSync(ctx, tx, newSync(3, noon.Add(time.Hour))),
				session.CreateTransfer(ctx, tx, newTransfer(10, 1, true, noon)),
				session.CreateTransfer(ctx, tx, newTransfer(11, 1, true, noon.Add(time.Hour))),
			)
		})
		before := noon.Add(time.Minute)
		for _, c := range []struct {
			pick session.Pick
			want []string
		}{
			{session.Pick{}, []string{id(10)}},
			{session.Pick{Except: []string{id(10)}}, nil},
			{session.Pick{SyncIDs: []string{id(1)}}, []string{id(10)}},
			{session.Pick{SyncIDs: []string{id(2), id(3)}}, nil},
			{session.Pick{Push: true}, []string{id(10)}},
			{session.Pick{Push: true, Pull: true}, []string{id(10)}},
			{session.Pick{Pull: true}, nil},
			{session.Pick{FilterPrefix: newTransfer(10, 1, true, noon).Filter[:1]}, []string{id(10)}},
			{session.Pick{FilterPrefix: "elsewhere"}, nil},
			{session.Pick{ClientInstance: newSync(1, noon).ClientInstanceID, ServerInstance: newSync(1, noon).ServerInstanceID}, []string{id(10)}},
			{session.Pick{ClientInstance: id(99)}, nil},
			{session.Pick{ServerInstance: id(99)}, nil},
		} {
			got := read(t, d, func(ctx context.Context, tx *db.Tx) ([]string, error) {
				return session.IdleTransfers(ctx, tx, c.pick, before, 100)
			})
			equal(t, fmt.Sprintf("idle transfer sessions of %+v", c.pick), got, c.want)
		}
		got := read(t, d, func(ctx context.Context, tx *db.Tx) ([]string, error) {
			return session.IdleSyncs(ctx, tx, session.Pick{}, before, 100)
		})
		equal(t, "idle sync sessions without transfer", got, []string{id(2)})
	})
}

func TestNonce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		give := func(n int) {
			write(t, d, func(ctx context.Context, tx *db.Tx) error {
				return session.CreateNonce(ctx, tx, session.Nonce{ID: id(n), Time: noon, IP: "10.0.0.1"})
			})
		}
		use := func(n int, at time.Time) error {
			return d.Write(t.Context(), func(tx *db.Tx) error { return session.UseNonce(t.Context(), tx, id(n), at) })
		}
		for n, c := range []struct {
			age  time.Duration
			want error
		}{
			{0, nil},
			{session.NonceLife, nil},
			{session.NonceLife + time.Millisecond, session.ErrNonceExpired},
			{-time.Millisecond, session.ErrNonceExpired},
		} {
			give(n)
			if err := use(n, noon.Add(c.age)); !errors.Is(err, c.want) {
				t.Errorf("used after %v: %v, want %v", c.age, err, c.want)
			}
		}
		if err := use(0, noon); !errors.Is(err, session.ErrNonceUnknown) {
			t.Errorf("used twice: %v", err)
		}
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			n, err := session.PurgeNonces(ctx, tx, noon.Add(2*session.NonceLife))
			equal(t, "purged", n, int64(2))
			return err
		})
	})
}

// Two requests that come with one nonce at the same moment: one gets in.
func TestNonceIsUsedOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		write(t, d, func(ctx context.Context, tx *db.Tx) error {
			return session.CreateNonce(ctx, tx, session.Nonce{ID: id(1), Time: noon})
		})
		const users = 8
		results := make(chan error, users)
		for range users {
			go func() {
				results <- d.Write(t.Context(), func(tx *db.Tx) error { return session.UseNonce(t.Context(), tx, id(1), noon) })
			}()
		}
		used := 0
		for range users {
			switch err := <-results; {
			case err == nil:
				used++
			case !errors.Is(err, session.ErrNonceUnknown):
				t.Errorf("refused for another reason: %v", err)
			}
		}
		equal(t, "times used", used, 1)
	})
}
