package engine

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/store"
	"github.com/morango-go/morango/wire"
)

// Instance returns the instance that this engine saves as, and makes it when the
// database has none for this machine.
func (e *Engine) Instance(ctx context.Context) (i store.Instance, err error) {
	spare, err := e.env.NewID()
	if err != nil {
		return i, err
	}
	// As a rule there is one, and nobody has to wait for whoever writes.
	var found bool
	err = e.env.DB.Ask(ctx, func(tx *db.Tx) error {
		i, found, err = store.FindInstance(ctx, tx, e.env.Machine)
		return err
	})
	if err == nil && found {
		return i, nil
	}
	err = e.env.DB.Write(ctx, func(tx *db.Tx) error {
		i, err = store.CurrentInstance(ctx, tx, e.env.Machine, func() string { return spare })
		return err
	})
	if err != nil {
		return i, fmt.Errorf("find this database's instance: %w", err)
	}
	return i, nil
}

// InstanceJSON returns what a sync session tells the peer of this instance.
func (e *Engine) InstanceJSON(ctx context.Context) (string, error) {
	i, err := e.Instance(ctx)
	if err != nil {
		return "", err
	}
	return e.JSONOf(i)
}

// JSONOf is InstanceJSON of an instance that Instance has returned.
func (e *Engine) JSONOf(i store.Instance) (string, error) {
	text, err := wire.MarshalText(instanceInfo(i, e.env.Profile.InstanceInfo))
	if err != nil {
		return "", fmt.Errorf("instance %s as JSON: %w", i.ID, err)
	}
	return text, nil
}

// instanceInfo is an instance as it stands in a sync session, with what the
// application says of itself.
func instanceInfo(i store.Instance, extra map[string]string) wire.Instance {
	info := wire.Instance{
		ID: i.ID, Platform: i.Platform, Hostname: i.Hostname, SysVersion: i.SysVersion,
		NodeID: i.NodeID, Database: i.DatabaseID, DBPath: i.DBPath, SystemID: i.SystemID,
		Extra: map[string]jsontext.Value{},
	}
	for key, value := range extra {
		text, err := jsontext.AppendQuote(nil, value)
		if err == nil { // invalid UTF-8 cannot be told to anybody
			info.Extra[key] = text
		}
	}
	return info
}
