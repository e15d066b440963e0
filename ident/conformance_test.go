package ident_test

import (
	"encoding/json"
	"math/big"
	"strconv"
	"testing"

	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/internal/conformance"
)

func TestConformanceUUID(t *testing.T) {
	conformance.Run(t, "uuid", func(t *conformance.T, c conformance.Case) {
		var in struct {
			Args      []string
			Partition string
			SourceID  string `json:"source_id"`
			ModelName string `json:"model_name"`
			Values    []any
		}
		t.Decode(c.Input, &in)
		switch c.Kind {
		case "sha2_uuid":
			t.EqualJSON("hash", ident.Hash(in.Args...), c.Expected)
		case "namespaced_id":
			t.EqualJSON("id", ident.Record(in.Partition, in.SourceID, in.ModelName), c.Expected)
		case "field_join":
			var want struct{ Random bool }
			t.Decode(c.Raw, &want)
			id, ok := ident.Fields(texts(in.Values)...)
			t.Equal("is random", !ok, want.Random)
			if ok {
				t.EqualJSON("id", id, c.Expected)
			}
		}
	}, "sha2_uuid", "namespaced_id", "field_join")
}

// texts returns field values as text, with empty ones for those that count as none.
func texts(values []any) []string {
	all := make([]string, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case string:
			all[i] = v
		case float64:
			if v != 0 {
				all[i] = strconv.FormatFloat(v, 'f', -1, 64)
			}
		}
	}
	return all
}

func TestConformanceProquint(t *testing.T) {
	conformance.Run(t, "proquint", func(t *conformance.T, c conformance.Case) {
		var in string
		t.Decode(c.Input, &in)
		switch c.Kind {
		case "from_int":
			n, ok := new(big.Int).SetString(in, 10)
			t.True(ok, "%s is a number", in)
			t.EqualJSON("proquint", ident.Proquint(n), c.Expected)
		case "to_int":
			var want struct {
				OK    string
				Error string
			}
			t.Decode(c.Expected, &want)
			n, err := ident.FromProquint(in)
			t.Equal("refused", err != nil, want.Error != "")
			if err == nil {
				t.Equal("number", n.String(), want.OK)
			}
		case "instance_hash":
			t.EqualJSON("spoken form", ident.InstanceHash(in), c.Expected)
		}
	})
}

func TestConformanceInstanceID(t *testing.T) {
	conformance.Run(t, "instance_id", func(t *conformance.T, c conformance.Case) {
		switch c.Kind {
		case "salted_hash":
			t.EqualJSON("hash", ident.Salted(text(t, c.Input)), c.Expected)
		case "mac_flags_int", "mac_flags_str":
			checkFlags(t, c)
		case "node_id_choice":
			checkNode(t, c)
		default:
			checkInstance(t, c)
		}
	})
}

// text returns a string, integer or null of a case as text; null and 0 as "".
func text(t *conformance.T, raw json.RawMessage) string {
	var v any
	t.Decode(raw, &v)
	if s, ok := v.(string); ok {
		return s
	}
	if v == nil || string(raw) == "0" {
		return ""
	}
	return string(raw)
}

func checkFlags(t *conformance.T, c conformance.Case) {
	var want struct {
		Ether            string
		Multicast, Local bool
	}
	t.Decode(c.Expected, &want)
	if c.Kind == "mac_flags_int" {
		var mac ident.MAC
		t.Decode(c.Input, &mac)
		t.Equal("text", mac.String(), want.Ether)
		t.Equal("multicast", mac.Multicast(), want.Multicast)
		t.Equal("local", mac.Local(), want.Local)
		return
	}
	var ether string
	t.Decode(c.Input, &ether)
	multicast, local, ok := ident.Flags(ether)
	t.True(ok, "%q is an address", ether)
	t.Equal("multicast", multicast, want.Multicast)
	t.Equal("local", local, want.Local)
}

func checkNode(t *conformance.T, c conformance.Case) {
	var in struct {
		Env        string `json:"env_MORANGO_NODE_ID"`
		Interfaces []ident.Interface
		GetNode    ident.MAC
	}
	t.Decode(c.Input, &in)
	t.EqualJSON("node id", ident.Node(in.Env, in.Interfaces, in.GetNode), c.Expected)
}

func checkInstance(t *conformance.T, c conformance.Case) {
	var in struct {
		DatabaseID string `json:"database_id"`
		SystemID   string `json:"system_id"`
		NodeID     string `json:"node_id"`
		RawSystem  string `json:"raw_system_id"`
		RawNode    string `json:"raw_node_id"`
		DBPath     string `json:"db_path"`
		MAC        ident.MAC
		Platform   string
		Hostname   string
		SysVersion string
	}
	t.Decode(c.Input, &in)
	switch c.Kind {
	case "instance_id":
		t.EqualJSON("id", ident.Instance(in.DatabaseID, in.SystemID, in.NodeID), c.Expected)
	case "instance_id_full":
		system, node := ident.Salted(in.RawSystem), ident.Salted(in.RawNode)
		id := ident.Instance(in.DatabaseID, system, node)
		t.EqualJSON("ids", map[string]string{"system_id": system, "node_id": node, "id": id}, c.Expected)
	case "legacy_0_4_node_id":
		t.EqualJSON("node id", ident.LegacyNode(in.DatabaseID, in.MAC), c.Expected)
	case "legacy_0_4_id":
		t.EqualJSON("id", ident.LegacyInstance(in.Platform, in.Hostname, in.SysVersion, in.NodeID, in.DatabaseID, in.DBPath), c.Expected)
	}
}
