package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/morango-go/morango"
)

// setting is a sync to be measured.
type setting struct {
	job         string
	hub, client string // which databases to start from
	order       order
	pull, push  int                            // records that must travel
	before      func(hub, client string) error // prepares the copies; nil: nothing
	// beside says what else goes on meanwhile; the sync may then find more to do. Nil: nothing.
	beside func(hub, client string) ([]order, error)
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
	s.order.Role, s.order.Database = "sync", client
	h := heat{job: s.job, hub: hub, clients: []order{s.order}}
	if s.beside != nil {
		if h.beside, err = s.beside(hub, client); err != nil {
			return nil, err
		}
	}
	if err := b.race(ctx, &h); err != nil {
		return nil, err
	}
	got := h.parts[0]
	if got.Pull.Records < int64(s.pull) || got.Push.Records < int64(s.push) || got.Problems > 0 {
		return nil, fmt.Errorf("%d records pulled, %d pushed, %d problems; expected %d, %d and none",
			got.Pull.Records, got.Push.Records, got.Problems, s.pull, s.push)
	}
	if len(h.beside) == 0 && got.Pull.Records+got.Push.Records != int64(s.pull+s.push) {
		return nil, fmt.Errorf("%d records pulled and %d pushed are more than the %d and %d that were new",
			got.Pull.Records, got.Push.Records, s.pull, s.push)
	}
	h.result.Records = got.Pull.Records + got.Push.Records
	return append([]result{h.result}, h.waits...), nil
}

// heat is a server and clients that all go at once, and what was measured of it.
type heat struct {
	job, hub string // the hub is a database
	clients  []order
	beside   []order // that go on until the clients are done

	result result
	parts  []synced // of the clients
	waits  []result // of those beside
}

// race starts a server and its clients, lets the clients go all at once, and measures
// until the last is done.
func (b *bench) race(ctx context.Context, h *heat) error {
	ctx, cancel := context.WithCancel(ctx) // whatever happens, no process stays
	defer cancel()
	server, err := start(ctx, order{Role: "serve", Project: b.project, Notes: b.ofNotes, Database: h.hub, Profile: b.profileOf(h.job, "server")})
	if err != nil {
		return err
	}
	var address string
	if err := server.hear(&address); err != nil {
		return err
	}
	if len(h.clients) > 0 {
		h.clients[0].Profile = b.profileOf(h.job, "client")
	}
	beside, err := b.line(ctx, h.beside, address)
	if err != nil {
		return err
	}
	running, err := b.line(ctx, h.clients, address)
	if err != nil {
		return err
	}
	var ready bool
	if err := errors.Join(server.tell(), server.hear(&ready)); err != nil {
		return err
	}
	before := b.cpu()
	if err := errors.Join(tell(beside), tell(running), h.finish(running)); err != nil {
		return err
	}
	h.result.DatabaseCPU = b.cpu() - before
	if err := h.ask(beside); err != nil {
		return err
	}
	var s served
	if err := errors.Join(server.tell(), server.hear(&s)); err != nil {
		return err
	}
	h.result.Server = s.Usage
	for _, p := range slices.Concat(running, beside, []*process{server}) {
		err = errors.Join(err, p.stop())
	}
	if err == nil {
		h.result.DatabaseBytes, err = b.size(ctx, h.hub)
	}
	return err
}

// line starts processes, and returns when all are ready to go.
func (b *bench) line(ctx context.Context, orders []order, address string) ([]*process, error) {
	running := make([]*process, len(orders))
	for i, o := range orders {
		o.URL, o.Project, o.Notes = address, b.project, b.ofNotes
		p, err := start(ctx, o)
		if err != nil {
			return nil, err
		}
		var ready bool
		if err := p.hear(&ready); err != nil {
			return nil, err
		}
		running[i] = p
	}
	return running, nil
}

// tell gives processes their next line.
func tell(all []*process) error {
	var err error
	for _, p := range all {
		err = errors.Join(err, p.tell())
	}
	return err
}

// finish waits for the clients, and adds up what they used.
func (h *heat) finish(running []*process) error {
	h.result.Job, h.result.Sides = h.job, 2
	r := &h.result
	for _, p := range running {
		var one synced
		if err := p.hear(&one); err != nil {
			return err
		}
		h.parts = append(h.parts, one)
		r.Seconds = max(r.Seconds, one.Seconds)
		r.Client.CPU += one.Usage.CPU
		r.Client.Memory = max(r.Client.Memory, one.Usage.Memory)
		r.Sent, r.Received, r.Turns = r.Sent+one.Sent, r.Received+one.Received, r.Turns+one.Turns
	}
	return nil
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
		clients = append(clients, order{Role: "sync", Database: target, Push: true})
	}
	h := heat{job: "eight", hub: hub, clients: clients}
	if err := b.race(ctx, &h); err != nil {
		return nil, err
	}
	for i, p := range h.parts {
		if p.Push.Records != eightRows {
			return nil, fmt.Errorf("client %d pushed %d records instead of %d", i, p.Push.Records, eightRows)
		}
	}
	h.result.Records = eightClients * eightRows
	return []result{h.result}, nil
}
