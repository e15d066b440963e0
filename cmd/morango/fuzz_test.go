package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever a configuration file holds, the program says what is wrong with it or goes on
// to its command, and never shows a password that stands in it.
func FuzzConfig(f *testing.F) {
	const secret = "s3cr3t-of-the-f1le"
	f.Add("log: debug\n")
	f.Add("database: [a, b]\nlog: {x: 1}\n")
	f.Add("password: " + secret + "\n  broken")
	f.Add("log: &a [*a]\n")
	f.Add("a: &a [x,x]\nb: &b [*a,*a,*a]\nc: [*b,*b,*b]\n")
	f.Add("\xff\x00")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"--config", path, "id", "--profile", "/none.yaml", "x"}, console{in: strings.NewReader(""), out: &out, err: &errs})
		if code == exitDone || errs.Len() == 0 {
			t.Fatalf("exit code %d: %s", code, errs.String())
		}
		if strings.Contains(errs.String(), secret) && strings.Contains(text, secret) && strings.Contains(text, "password") {
			t.Fatalf("%q shows the password: %s", text, errs.String())
		}
	})
}
