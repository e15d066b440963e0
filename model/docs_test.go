package model_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The example in docs/profiles.md is a profile, once the class that it names is there.
func TestDocumentedExample(t *testing.T) {
	text, err := os.ReadFile("../docs/profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d YAML blocks, expected the profile and the partition rules", len(blocks))
	}
	const class = "  - {name: class, table: class, source: random, partition: x, columns: []}\n"
	if _, err := load(blocks[0][1] + class); err != nil {
		t.Error(err)
	}
	column := "      - {name: pupil_id, type: uuid, nullable: true}\n"
	ruled := strings.Replace(blocks[0][1], "    partition: \"${school_id}\"", strings.TrimRight(blocks[1][1], "\n"), 1) + column + class
	if _, err := load(ruled); err != nil {
		t.Error(err)
	}
}
