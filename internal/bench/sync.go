package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/morango-go/morango"
)

// setting is a sync to be measured.
type setting struct {
	job         string
	hub, client string // which databases to start from
	order       order
	pull, push  int                            // records that must travel
	before      func(hub, client string) error // prepares the copies; nil: nothing
}

// sync measures one sync between two processes, on copies of two databases.
func (b *bench) sync(ctx context.Context, s setting) (all []result, err error) {
	// The client first: for its making the hub may tell something, which its copy must know.
	client, err := b.get(ctx, s.client)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.drop(ctx, client)) }()
	hub, err := b.get(ctx, s.hub)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.drop(ctx, hub)) }()
	if s.before != nil {
		if err := s.before(hub, client); err != nil {
			return nil, err
		}
	}
	s.order.Role, s.order.Project, s.order.Database = "sync", b.project, client
	r, parts, err := b.race(ctx, s.job, hub, []order{s.order})
	if err != nil {
		return nil, err
	}
	if got := parts[0]; got.Pull.Records != int64(s.pull) || got.Push.Records != int64(s.push) || got.Problems > 0 {
		return nil, fmt.Errorf("%d records pulled, %d pushed, %d problems; expected %d, %d and none",
			got.Pull.Records, got.Push.Records, got.Problems, s.pull, s.push)
	}
	r.Records = int64(s.pull + s.push)
	return []result{r}, nil
}

// race starts a server and its clients, lets the clients go all at once, and measures
// until the last is done.
func (b *bench) race(ctx context.Context, job, hub string, clients []order) (r result, parts []synced, err error) {
	ctx, cancel := context.WithCancel(ctx) // whatever happens, no process stays
	defer cancel()
	server, err := start(ctx, order{Role: "serve", Project: b.project, Database: hub, Profile: b.profileOf(job, "server")})
	if err != nil {
		return r, nil, err
	}
	var address string
	if err := server.hear(&address); err != nil {
		return r, nil, err
	}
	running := make([]*process, len(clients))
	var ready bool
	for i, o := range clients {
		o.URL = address
		if i == 0 {
			o.Profile = b.profileOf(job, "client")
		}
		if running[i], err = start(ctx, o); err != nil {
			return r, nil, err
		}
		if err := running[i].hear(&ready); err != nil {
			return r, nil, err
		}
	}
	if err := errors.Join(server.tell(), server.hear(&ready)); err != nil {
		return r, nil, err
	}
	before := b.cpu()
	for _, p := range running {
		if err := p.tell(); err != nil {
			return r, nil, err
		}
	}
	r = result{Job: job, Sides: 2}
	for _, p := range running {
		var one synced
		if err := p.hear(&one); err != nil {
			return r, nil, err
		}
		parts = append(parts, one)
		r.Seconds = max(r.Seconds, one.Seconds)
		r.Client.CPU += one.Usage.CPU
		r.Client.Memory = max(r.Client.Memory, one.Usage.Memory)
		r.Sent, r.Received, r.Turns = r.Sent+one.Sent, r.Received+one.Received, r.Turns+one.Turns
	}
	r.DatabaseCPU = b.cpu() - before
	var s served
	if err := errors.Join(server.tell(), server.hear(&s)); err != nil {
		return r, nil, err
	}
	r.Server = s.Usage
	for _, p := range running {
		err = errors.Join(err, p.stop())
	}
	if err = errors.Join(err, server.stop()); err == nil {
		r.DatabaseBytes, err = b.size(ctx, hub)
	}
	return r, parts, err
}

// Job eight: so many clients, each with so many rows.
const (
	eightClients = 8
	eightRows    = 1000
)

// eight lets eight clients push their own rows at once.
func (b *bench) eight(ctx context.Context) (all []result, err error) {
	hub, err := b.get(ctx, hubEmpty)
	if err != nil {
		return nil, err
	}
	targets := []string{hub}
	defer func() {
		for _, target := range targets {
			err = errors.Join(err, b.drop(ctx, target))
		}
	}()
	var clients []order
	for i := range eightClients {
		// Each is a database of its own: copies of one would be found to be copies.
		target, err := b.join(ctx, hubEmpty, "", morango.JoinOptions{ScopeDefinition: "full-facility"})
		if err != nil {
			return nil, err
		}
		targets = append(targets, target)
		if err := b.fill(ctx, target, seedEight+byte(i), eightRows, false); err != nil {
			return nil, err
		}
		clients = append(clients, order{Role: "sync", Project: b.project, Database: target, Push: true})
	}
	r, parts, err := b.race(ctx, "eight", hub, clients)
	if err != nil {
		return nil, err
	}
	for i, p := range parts {
		if p.Push.Records != eightRows {
			return nil, fmt.Errorf("client %d pushed %d records instead of %d", i, p.Push.Records, eightRows)
		}
	}
	r.Records = eightClients * eightRows
	return []result{r}, nil
}
