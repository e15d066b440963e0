package deserialize

import (
	"strings"
	"testing"

	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/db/dbtest"
	"github.com/morango-go/morango/partition"
)

// What a transfer session that is still on its way has brought waits for that session's
// own run; what others brought, or nobody, does not wait for it.
func TestRecordsOfOthersOnTheirWayAreLeftToThem(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		env := newEnv(t, d, testProfile(t))
		large, small := strings.Repeat("a", 32), strings.Repeat("b", 32)
		put(t, d, state{"store": []tableRow{
			with(storedUser(idOf(1), "ann"), "last_transfer_session_id", large),
			with(storedUser(idOf(2), "bob"), "last_transfer_session_id", small),
			with(storedUser(idOf(3), "cem"), "last_transfer_session_id", nil),
		}})
		for i, o := range []Options{{Except: []string{large}}, {Except: []string{large}, Sparing: true}, {Sparing: true}} {
			report, err := Run(t.Context(), env, partition.Filter{}, o, nil)
			if err != nil {
				t.Fatal(err)
			}
			if want := []int64{2, 0, 1}[i]; report.Applied != want {
				t.Errorf("run %d applied %d rows instead of %d", i+1, report.Applied, want)
			}
		}
	})
}
