package model_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/morango-go/morango/model"
)

// Whatever text is given, loading ends without a panic in an error or in a
// profile that validation leaves as it is.
func FuzzLoad(f *testing.F) {
	text, err := os.ReadFile("../testdata/testapp.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(small))
	f.Add([]byte(schoolYAML))
	f.Fuzz(func(t *testing.T, text []byte) {
		loaded, err := model.Load("fuzz.yaml", bytes.NewReader(text))
		if err != nil {
			return
		}
		again, err := model.Load("fuzz.yaml", bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Validate(); err != nil {
			t.Fatalf("valid when loaded, not when validated again: %v", err)
		}
		if diff := cmp.Diff(loaded, again); diff != "" {
			t.Fatalf("validated again, it changed:\n%s", diff)
		}
	})
}
