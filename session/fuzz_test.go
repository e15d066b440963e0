package session_test

import (
	"encoding/json"
	"testing"

	"github.com/morango-go/morango/session"
)

// Whatever an application keeps in a sync session's extra fields, a failure is read from
// it only where JSON has one.
func FuzzFailure(f *testing.F) {
	f.Add(`{"morango_failure": {"stage": "queuing", "reason": "x", "time": "2026-11-22T01:31:39Z"}, "own": 1}`)
	f.Add(`{"morango_failure": null}`)
	f.Add(`{"morango_failure": {"time": "x"}}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, fields string) {
		failure, noted := session.Sync{ExtraFields: fields}.Failure()
		if !noted {
			return
		}
		var all map[string]any
		if err := json.Unmarshal([]byte(fields), &all); err != nil || all["morango_failure"] == nil {
			t.Fatalf("%+v out of %q: %v", failure, fields, err)
		}
	})
}
