package model_test

import (
	"testing"

	"github.com/morango-go/morango/model"
)

func TestLoadTestApp(t *testing.T) {
	p, err := model.LoadFile("../testdata/testapp.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Models) != 4 || p.Capture != model.CaptureApplication || len(p.Scopes) != 4 {
		t.Errorf("got %d models, capture %q, %d scopes", len(p.Models), p.Capture, len(p.Scopes))
	}
	facility, _ := p.Model("facility")
	if tree := facility.SelfReference(); tree == nil || tree.Name != "parent_id" {
		t.Errorf("facility's self-reference is %v", tree)
	}
}
