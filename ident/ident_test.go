package ident_test

import (
	"bytes"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/morango-go/morango/ident"
)

func TestNewIsAVersion4UUID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "random bytes")
		id, err := ident.New(bytes.NewReader(seed))
		if err != nil || !ident.Valid(id) {
			t.Fatalf("id %q, error %v", id, err)
		}
		if id[12] != '4' || !strings.ContainsRune("89ab", rune(id[16])) {
			t.Fatalf("%s is no version-4 UUID", id)
		}
		if again, _ := ident.New(bytes.NewReader(seed)); again != id {
			t.Fatal("the same randomness gives another id")
		}
	})
}

func TestNewTellsThatRandomnessIsMissing(t *testing.T) {
	if id, err := ident.New(strings.NewReader("short")); !errors.Is(err, io.ErrUnexpectedEOF) || id != "" {
		t.Errorf("id %q, error %v", id, err)
	}
}

func TestParse(t *testing.T) {
	const want = "6ba7b8109dad11d180b400c04fd430c8"
	for _, s := range []string{want, strings.ToUpper(want), "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6BA7B810-9dad-11d1-80b4-00C04FD430C8"} {
		if id, err := ident.Parse(s); err != nil || id != want {
			t.Errorf("%s: id %q, error %v", s, id, err)
		}
	}
	for _, s := range []string{
		"", "6ba7b8109dad11d180b400c04fd430c", want + "0", "6ba7b8109dad-11d180b4-00c04fd4-30c8-",
		"{6ba7b810-9dad-11d1-80b4-00c04fd430c}", strings.Repeat("g", 32), strings.Repeat("é", 16), "K" + want[1:],
	} {
		if id, err := ident.Parse(s); !errors.Is(err, ident.ErrInvalid) || id != "" {
			t.Errorf("%q: id %q, error %v", s, id, err)
		}
	}
}

func TestValidIsTheFormThatTravels(t *testing.T) {
	for s, want := range map[string]bool{
		"6ba7b8109dad11d180b400c04fd430c8": true, strings.Repeat("0", 32): true, strings.Repeat("f", 32): true,
		"6BA7B8109DAD11D180B400C04FD430C8": false, strings.Repeat("0", 31): false, strings.Repeat("/", 32): false,
		strings.Repeat(":", 32): false, strings.Repeat("`", 32): false, strings.Repeat("g", 32): false,
	} {
		if ident.Valid(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

// The expected ids were printed by Python's uuid.uuid5.
func TestUUID5(t *testing.T) {
	for _, c := range []struct{ namespace, name, want string }{
		{"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "python.org", "886313e13b8a53729b900c9aee199e5d"},
		{"6ba7b8119dad11d180b400c04fd430c8", "http://python.org/É", "9bc3c894604353cfbe55b5d47a2d516c"},
		{"6BA7B8109DAD11D180B400C04FD430C8", "", "4ebd020883285d698c44ec50939c0967"},
	} {
		if id, err := ident.UUID5(c.namespace, c.name); err != nil || id != c.want {
			t.Errorf("%s in %s: id %s, error %v", c.name, c.namespace, id, err)
		}
	}
	if id, err := ident.UUID5("python.org", "x"); !errors.Is(err, ident.ErrInvalid) || id != "" {
		t.Errorf("a namespace that is no id: id %q, error %v", id, err)
	}
}

func TestProquintRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := new(big.Int).SetBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "number"))
		again, err := ident.FromProquint(ident.Proquint(n))
		if err != nil || again.Cmp(n) != 0 {
			t.Fatalf("%d is spoken %s, heard %d (%v)", n, ident.Proquint(n), again, err)
		}
	})
	if s := ident.InstanceHash("not an id"); s != "" {
		t.Errorf("spoken form %q of no id", s)
	}
}
