package main

import (
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	const passing = `{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Test":"A","Output":"said\n"}
{"Action":"output","Package":"p","Test":"A/lean","Output":"conformance: uuid: 3 cases, 3 exact, 0 failed\n"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
{"Action":"start","Package":"none"}
{"Action":"skip","Package":"none"}
`
	for _, c := range []struct {
		name, input string
		well        bool
		want        []string
		not         string
	}{
		{"passing", passing, true, []string{"ok  \tp\t0.1s\nconformance: uuid: 3 cases, 3 exact, 0 failed lean\n1 packages, 1 tests passed, 0 failed, 0 skipped"}, "said"},
		{"nothing", "", false, []string{"0 packages, 0 tests passed"}, "failed:"},
		{"failed", passing + `{"Action":"output","Package":"p","Test":"B","Output":"why\n"}` + "\n" + `{"Action":"fail","Package":"p","Test":"B"}`, false,
			[]string{"why\n", "failed: p B\n| why\n", "1 tests passed, 1 failed"}, "said"},
		{"skipped", passing + `{"Action":"skip","Package":"p","Test":"B"}`, false, []string{"skipped, which no test may be: p B\n", "1 skipped"}, "failed:"},
		{"cut off", passing + `{"Action":"start","Package":"q"}`, false, []string{"failed: q (never ended)"}, "said"},
		{"not built", `{"ImportPath":"q","Action":"build-output","Output":"q.go:1: wrong\n"}` + "\nplain text\n" + passing, true, []string{"q.go:1: wrong\n", "plain text\n"}, "said"},
	} {
		var out strings.Builder
		r := newReport(&out)
		if err := r.read(strings.NewReader(c.input)); err != nil {
			t.Fatal(err)
		}
		if well := r.close(time.Second); well != c.well {
			t.Errorf("%s: all well is %v", c.name, well)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: the report lacks %q:\n%s", c.name, want, &out)
			}
		}
		if strings.Contains(out.String(), c.not) {
			t.Errorf("%s: the report holds %q:\n%s", c.name, c.not, &out)
		}
	}
}
