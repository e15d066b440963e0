package partition_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/morango-go/morango/partition"
)

// Values appear as Python writes them; what each line expects was printed by Python.
func TestTextOfParameters(t *testing.T) {
	for given, want := range map[string]string{
		`"plain 'text'"`:           "plain 'text'",
		`null`:                     "None",
		`true`:                     "True",
		`false`:                    "False",
		`-0`:                       "0",
		`-0.0`:                     "-0.0",
		`12345678901234567890`:     "12345678901234567890",
		`1e22`:                     "1e+22",
		`1e16`:                     "1e+16",
		`123456789012345.0`:        "123456789012345.0",
		`0.0001`:                   "0.0001",
		`0.00001`:                  "1e-05",
		`1e400`:                    "inf",
		`-1E+400`:                  "-inf",
		`1e-400`:                   "0.0",
		`5e-324`:                   "5e-324",
		`100.0`:                    "100.0",
		`[]`:                       "[]",
		`{}`:                       "{}",
		`[1, "a", null]`:           "[1, 'a', None]",
		`{"z": [true], "a": 1.50}`: "{'z': [True], 'a': 1.5}",
		`["it's", "\"", "'\"", "\\", "\n\t\r\u0001\u00ad\u0378\ud83d\ude00\udb40\udc01"]`: `["it's", '"', '\'"', '\\', '\n\t\r\x01\xad\u0378😀\U000e0001']`,
	} {
		_, got, err := partition.BuildJSON("$x", `{"x": `+given+`}`)
		if err != nil || got != want {
			t.Errorf("%s: got %s, want %s (%v)", given, got, want, err)
		}
	}
}

func TestGoValuesReadAsTheirJSON(t *testing.T) {
	for _, text := range []string{
		`{"x": "a b"}`, `{"x": null}`, `{"x": true}`, `{"x": 1.5}`, `{"x": 1e22}`,
		`{"x": ["a", {"b": [null, false], "c": "'"}]}`,
	} {
		var params map[string]any
		if err := json.Unmarshal([]byte(text), &params); err != nil {
			t.Fatal(err)
		}
		f, got := partition.Build("1:$x:${x}", params)
		g, want, err := partition.BuildJSON("1:$x:${x}", text)
		if err != nil || got != want || !f.Equal(g) {
			t.Errorf("%s: %q as Go values, %q as JSON (%v)", text, got, want, err)
		}
		read, err := partition.NewScopeJSON("$x", "w", "rw", text)
		if given := partition.NewScope("$x", "w", "rw", params); err != nil || !given.Equal(read) {
			t.Errorf("%s: scope %v as Go values, %v as JSON (%v)", text, given, read, err)
		}
	}
	if _, text := partition.Build("$i:$n", map[string]any{"i": 7, "n": json.Number("1e2")}); text != "7:100.0" {
		t.Errorf("integer and json.Number: %q", text)
	}
}

func TestBadParametersAreRefused(t *testing.T) {
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	for name, text := range map[string]string{
		"empty": "", "no object": "[]", "null": "null", "half": `{"a": 1`, "two": "{} {}", "rest": "{}x",
		"repeated name": `{"a": 1, "a": 2}`, "not a number": `{"a": NaN}`, "invalid UTF-8": "{\"a\": \"\xff\"}",
		"lone surrogate": `{"a": "\ud800"}`, "deep": `{"a": ` + deep + `}`, "comma": `{"a": 1,}`,
		"number without end": `{"a": ` + strings.Repeat("9", 5000) + `}`,
		"large":              `{"a": "` + strings.Repeat("x", 70_000) + `"}`,
	} {
		if _, _, err := partition.BuildJSON("$a", text); !errors.Is(err, partition.ErrParams) {
			t.Errorf("%s: error %v", name, err)
		}
		if _, err := partition.NewScopeJSON("$a", "", "", text); !errors.Is(err, partition.ErrParams) {
			t.Errorf("%s, scope: error %v", name, err)
		}
	}
}

func TestScopeThatIsNoSubsetSaysWhy(t *testing.T) {
	wide := partition.Scope{Read: partition.Of("a", "b"), Write: partition.Of("a:w")}
	for _, c := range []struct {
		narrow partition.Scope
		says   string
	}{
		{partition.Scope{Read: partition.Of("a:x", "b"), Write: partition.Of("a:w:1")}, ""},
		{partition.Scope{Read: partition.Of("a", "c"), Write: partition.Of("a:w")}, `may read "c"`},
		{partition.Scope{Read: partition.Of("a"), Write: partition.Of("a")}, `may write "a"`},
		{partition.Scope{Read: partition.All(), Write: partition.Of("a:w")}, `may read ""`},
	} {
		err := c.narrow.SubsetOf(wide)
		if c.says == "" && err != nil {
			t.Error(err)
		}
		if c.says != "" && (!errors.Is(err, partition.ErrNotSubset) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("error %v does not say: %s", err, c.says)
		}
	}
}

func FuzzBuildJSON(f *testing.F) {
	f.Add("${a}:$b$$", `{"a": 1, "b": [null, "x"]}`)
	f.Add("$", "{}")
	f.Add("${", `{"": "x"}`)
	f.Add("$a$a", `{"a": "$a"}`)
	f.Fuzz(func(t *testing.T, template, params string) {
		_, text, err := partition.BuildJSON(template, params)
		if err == nil && !strings.Contains(template, "$") && text != template {
			t.Errorf("template %q without a hole became %q", template, text)
		}
	})
}
