package morango_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/morango-go/morango"
	"github.com/morango-go/morango/model"
)

// conflicts lists a peer's conflicts.
func (p *peer) conflicts() (all []morango.Conflict) {
	p.t.Helper()
	for c, err := range p.Conflicts(p.t.Context()) {
		must(p.t, err)
		all = append(all, c)
	}
	return all
}

// textOf is what a peer's row of an item has.
func (p *peer) textOf(item string) (text string) {
	p.t.Helper()
	must(p.t, p.app.QueryRowContext(p.t.Context(), "SELECT text FROM item WHERE id = ?", item).Scan(&text))
	return text
}

// Two peers change one item; what they make of it is a conflict that both show, and what
// one of them chooses comes to both.
func TestConflictsAreShownAndResolved(t *testing.T) {
	hub, tablet, url := pair(t, nil)
	id := hub.item("first", hub.folder("top", nil), "")
	tablet.sync(url)
	hub.do("UPDATE item SET text = 'hub' WHERE id = ?", id)
	tablet.do("UPDATE item SET text = 'tablet' WHERE id = ?", id)
	_, err := hub.Serialize(t.Context(), morango.Filter{})
	must(t, err)
	_, err = tablet.Serialize(t.Context(), morango.Filter{})
	must(t, err)
	tablet.sync(url)
	for _, p := range []*peer{hub, tablet} {
		all := p.conflicts()
		if len(all) != 1 || all[0].ID != id || len(all[0].Copies) != 1 || len(all[0].Fields) != 1 || p.textOf(id) != "tablet" {
			t.Fatalf("conflicts %+v, and the row has %s", all, p.textOf(id))
		}
		if f := all[0].Fields[0]; f.Name != "text" || string(f.Ours) != `"tablet"` || string(f.Copies[0]) != `"hub"` {
			t.Errorf("the difference is %+v", f)
		}
	}
	if since := tablet.conflicts()[0].Since; since == nil || since.IsZero() {
		t.Errorf("since %v", since)
	}
	one, err := hub.Conflict(t.Context(), id)
	must(t, err)
	hub.do("UPDATE item SET text = 'once more' WHERE id = ?", id)
	if _, err := hub.Resolve(t.Context(), id, morango.Choice{Copy: 1}); !errors.Is(err, morango.ErrEdited) {
		t.Errorf("an edit that nobody has seen: %v", err)
	}
	_, err = hub.Serialize(t.Context(), morango.Filter{})
	must(t, err)
	if _, err := hub.Resolve(t.Context(), id, morango.Choice{Copy: 1, Version: one.Version}); !errors.Is(err, morango.ErrChanged) {
		t.Errorf("another version: %v", err)
	}
	r, err := hub.Resolve(t.Context(), id, morango.Choice{Copy: 1})
	must(t, err)
	if !r.Applied || hub.textOf(id) != "hub" || len(hub.conflicts()) != 0 {
		t.Errorf("resolved: %+v, the row has %s", r, hub.textOf(id))
	}
	tablet.sync(url)
	if tablet.textOf(id) != "hub" || len(tablet.conflicts()) != 0 {
		t.Errorf("the tablet has %s and %+v", tablet.textOf(id), tablet.conflicts())
	}
}

// longer is a merge function.
func longer(a, b string) (string, bool, error) {
	if len(a) > len(b) {
		return a, false, nil
	}
	return b, false, nil
}

// Changes that were not serialized when the other's came are merged by the rule too, and
// two peers that merge meet in one version.
func TestPeersMergeByTheirRule(t *testing.T) {
	hub, tablet, url := pair(t, nil, func(p *morango.Profile, c *morango.Config) {
		items, _ := p.Model("item")
		items.Merge = model.MergeRule{Kind: model.MergeCustom}
		c.Merge = map[string]morango.MergeFunc{"item": longer}
	})
	id := hub.item("first", hub.folder("top", nil), "")
	tablet.sync(url)
	for _, c := range []struct{ hub, tablet, want string }{
		{"at the hub", "tablet", "at the hub"}, {"hub", "at the tablet", "at the tablet"},
	} {
		hub.do("UPDATE item SET text = ? WHERE id = ?", c.hub, id)
		tablet.do("UPDATE item SET text = ? WHERE id = ?", c.tablet, id)
		tablet.sync(url)
		if hub.textOf(id) != c.want || tablet.textOf(id) != c.want {
			t.Errorf("the hub has %s, the tablet %s, want %s", hub.textOf(id), tablet.textOf(id), c.want)
		}
		if all := append(hub.conflicts(), tablet.conflicts()...); len(all) != 0 {
			t.Errorf("conflicts %+v", all)
		}
	}
	s, err := tablet.Sync(t.Context(), url, morango.SyncOptions{})
	must(t, err)
	if s.Pull.Records+s.Push.Records != 0 {
		t.Errorf("with nothing to do: %+v", s)
	}
}

// Under the rule fields two peers' changes of one row go together, also where neither has
// serialized his own when the other's comes, and by streams as by chunks.
func TestFieldsGoTogether(t *testing.T) {
	for name, hide := range modes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub, tablet, url := pair(t, hide, func(p *morango.Profile, _ *morango.Config) {
				items, _ := p.Model("item")
				items.Merge = model.MergeRule{Kind: model.MergeFields, By: "modified"}
				items.Columns = append(items.Columns, model.Column{Name: "modified", Type: model.BigInt, Default: &model.Default{Value: int64(1)}},
					model.Column{Name: "note", Type: model.Text, Default: &model.Default{Value: ""}})
			})
			id := hub.item("first", hub.folder("top", nil), "")
			tablet.sync(url)
			for round, c := range []struct{ hub, tablet int }{{2, 3}, {6, 5}} {
				text, note := fmt.Sprint("by the hub ", round), fmt.Sprint("by the tablet ", round)
				hub.do("UPDATE item SET text = ?, modified = ? WHERE id = ?", text, c.hub, id)
				tablet.do("UPDATE item SET note = ?, modified = ? WHERE id = ?", note, c.tablet, id)
				tablet.sync(url)
				for _, p := range []*peer{hub, tablet} {
					var got string
					must(t, p.app.QueryRowContext(t.Context(), "SELECT text || ', ' || note FROM item").Scan(&got))
					if want := text + ", " + note; got != want {
						t.Errorf("a peer has %s, want %s", got, want)
					}
					if all := p.conflicts(); len(all) != 0 {
						t.Errorf("conflicts: %+v", all)
					}
				}
			}
		})
	}
}

// A profile and the functions that are given for it have to fit.
func TestMergeFunctionsFitTheProfile(t *testing.T) {
	for name, c := range map[string]struct {
		rule model.MergeKind
		of   string
		want string
	}{
		"none":       {model.MergeCustom, "", "model item of profile things merges by a function"},
		"for folder": {model.MergeReference, "folder", `for model "folder"`},
		"for nobody": {model.MergeReference, "nobody", `for model "nobody"`},
	} {
		p := testProfile(t)
		items, _ := p.Model("item")
		items.Merge.Kind = c.rule
		config := morango.Config{Create: true, Logger: slog.New(slog.DiscardHandler), Merge: map[string]morango.MergeFunc{}}
		if c.of != "" {
			config.Merge[c.of] = longer
		}
		_, err := morango.Open(t.Context(), t.TempDir()+"/x.db", p, config)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
