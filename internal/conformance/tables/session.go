package tables

import (
	"testing"

	"github.com/morango-go/morango/db"
)

const syncSession = "5e550000000000000000000000000001"

// Sessions makes transfer sessions of these ids, because in Django's layout a buffer
// must belong to one. Those that exist stay.
func Sessions(t testing.TB, d *db.DB, ids ...string) {
	t.Helper()
	const moment = "'2026-01-01 00:00:00'"
	Write(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO morango_syncsession (id, start_timestamp, last_activity_timestamp, active,
			is_server, profile, connection_kind, connection_path, client_ip, server_ip, client_instance_json,
			server_instance_json, extra_fields) VALUES ($1, `+moment+`, `+moment+`, TRUE, FALSE, 'facilitydata',
			'network', '', '', '', '{}', '{}', '{}') ON CONFLICT (id) DO NOTHING`, syncSession)
		for _, id := range ids {
			if err != nil {
				return err
			}
			_, err = tx.Exec(t.Context(), `INSERT INTO morango_transfersession (id, filter, push, active, records_transferred,
				sync_session_id, start_timestamp, last_activity_timestamp, client_fsic, server_fsic)
				VALUES ($1, '', TRUE, TRUE, 0, $2, `+moment+`, `+moment+`, '{}', '{}') ON CONFLICT (id) DO NOTHING`, id, syncSession)
		}
		return err
	})
}
