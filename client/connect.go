package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/morango-go/morango/cert"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/engine"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/wire"
)

// ErrNoCertificate says that the two peers have no certificates of the same root.
var ErrNoCertificate = errors.New("no certificate in common")

// ErrScope says that the certificates do not allow what was asked for.
var ErrScope = errors.New("outside the scope of the certificates")

// conversation is one sync session with the peer, seen from the client.
type conversation struct {
	Syncer
	peer         *Peer
	async        bool // the peer works in the background and is asked how far it is
	terms        engine.Terms
	limit        int64 // of records in one stream; 0 is none
	sync         session.Sync
	resumed      bool            // the sync session was interrupted
	mine, theirs partition.Scope // of the two certificates
}

// connect resumes the interrupted sync session with the peer, or opens a new one.
func (s Syncer) connect(ctx context.Context, o Options, r *Result) (*conversation, error) {
	all, interrupted, err := s.ours(ctx, o)
	if err != nil {
		return nil, err
	}
	root := ""
	for _, mine := range all {
		if root == "" && (o.CertificateID == "" || mine.own().ID == o.CertificateID) {
			root = mine.root()
		}
	}
	info, err := s.Peer.Greet(ctx, root)
	if err != nil {
		return nil, err
	}
	both := s.Peer.Shared()
	c := &conversation{Syncer: s, peer: s.Peer,
		async: both.Has(wire.AsyncOperations),
		terms: engine.TermsOf(both), limit: o.bound}
	r.ServerInstance = info.InstanceID
	if interrupted != nil {
		if ok, err := c.resume(ctx, *interrupted); err != nil || ok {
			r.SyncSession, r.Resumed, c.resumed = c.sync.ID, ok, ok
			return c, err
		}
	}
	known := map[string][]*cert.Certificate{}
	if info.Certificates != nil {
		if known[root], err = cert.ParseList(info.Certificates); err != nil {
			return nil, fmt.Errorf("the certificates of %s: %w", s.Peer.BaseURL, err)
		}
	}
	mine, other, err := s.choose(ctx, o.CertificateID, all, known)
	if err != nil {
		return nil, err
	}
	if err := c.open(ctx, mine, other, info.Nonce); err != nil {
		return nil, err
	}
	r.SyncSession = c.sync.ID
	return c, nil
}

// ours reads what this side begins with: its certificates, and the sync session with the peer that
// was interrupted, nil where there is none or it is not to go on.
func (s Syncer) ours(ctx context.Context, o Options) (all owned, interrupted *session.Sync, err error) {
	env := s.Engine.Env()
	err = env.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if all, err = s.owned(ctx, tx); err != nil || o.Fresh {
			return err
		}
		found, err := session.ResumableSync(ctx, tx, env.Profile.Name, s.Peer.BaseURL)
		switch {
		case errors.Is(err, session.ErrNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("look for an interrupted sync: %w", err)
		case o.CertificateID == "" || o.CertificateID == found.ClientCertificateID:
			interrupted = &found
		}
		return nil
	})
	return all, interrupted, err
}

// resume goes on with a sync session that was interrupted, if it is still open on both
// sides. One that the peer has closed is closed here too.
func (c *conversation) resume(ctx context.Context, found session.Sync) (bool, error) {
	env := c.Engine.Env()
	_, err := c.peer.SyncSession(ctx, found.ID)
	if IsNotFound(err) {
		return false, c.forget(ctx, found.ID)
	}
	if err != nil {
		return false, err
	}
	c.sync = found
	err = env.DB.Write(ctx, func(tx *db.Tx) error {
		return session.SetProcess(ctx, tx, found.ID, c.Process)
	})
	if err != nil {
		return false, err
	}
	return true, c.scopes(ctx)
}

// forget closes a sync session that has ended on the other side, and its transfers.
func (c *conversation) forget(ctx context.Context, id string) error {
	env := c.Engine.Env()
	for _, push := range []bool{false, true} {
		var open []session.Transfer
		err := env.DB.Read(ctx, func(tx *db.Tx) (err error) {
			open, err = session.ActiveOfSync(ctx, tx, id, push)
			return err
		})
		for _, t := range open {
			err = errors.Join(err, c.Engine.Abandon(ctx, t.ID))
		}
		if err != nil {
			return err
		}
	}
	return env.DB.Write(ctx, func(tx *db.Tx) error { return session.CloseSync(ctx, tx, id, env.Now()) })
}

// open proves our certificate to the peer and has the peer prove its own. Nonce is nil when
// the peer has not given one yet.
func (c *conversation) open(ctx context.Context, mine chain, other *cert.Certificate, nonce *wire.Nonce) error {
	own, env := mine.own(), c.Engine.Env()
	if nonce == nil {
		asked, err := c.peer.Nonce(ctx)
		if err != nil {
			return err
		}
		nonce = &asked
	}
	id, err := env.NewID()
	if err != nil {
		return err
	}
	signed := signing(own, cert.SessionMessage(nonce.ID, id))
	err = c.allowed(ctx, own, other)
	request, failed := c.request(ctx, id, nonce.ID, mine, other)
	signature := <-signed
	if err = cmp.Or(err, failed, signature.err); err != nil {
		return err
	}
	request.Signature = signature.text
	answer, err := c.peer.CreateSyncSession(ctx, request)
	if err != nil {
		return err
	}
	if err := other.Verify(cert.SessionMessage(nonce.ID, id), answer.Signature); err != nil {
		return fmt.Errorf("the server at %s does not prove its certificate %s: %w", c.peer.BaseURL, other.ID, err)
	}
	now := env.Now()
	c.sync = session.Sync{
		ID: id, StartTime: now, LastTime: now, Active: true, Profile: own.Profile,
		ClientCertificateID: own.ID, ServerCertificateID: other.ID,
		ConnectionKind: "network", ConnectionPath: c.peer.BaseURL,
		ClientIP: request.ClientIP, ServerIP: request.ServerIP, ProcessID: c.Process,
		ClientInstanceID: instanceID(request.Instance), ClientInstanceJSON: request.Instance,
		ServerInstanceID: instanceID(answer.ServerInstance), ServerInstanceJSON: answer.ServerInstance,
	}
	if err := env.DB.Write(ctx, func(tx *db.Tx) error { return session.CreateSync(ctx, tx, c.sync) }); err != nil {
		return fmt.Errorf("keep sync session %s: %w", id, err)
	}
	return nil
}

// request is what opens the session, but for the signature.
func (c *conversation) request(ctx context.Context, id, nonce string, mine chain, other *cert.Certificate) (wire.SyncSessionRequest, error) {
	own := mine.own()
	instance, err := c.Engine.InstanceJSON(ctx)
	if err != nil {
		return wire.SyncSessionRequest{}, err
	}
	client, server := addresses(ctx, c.peer.BaseURL)
	return wire.SyncSessionRequest{
		ID: id, ServerCertificateID: other.ID, ClientCertificateID: own.ID, Profile: own.Profile,
		CertificateChain: cert.MarshalChain(mine), ConnectionPath: c.peer.BaseURL,
		Instance: instance, Nonce: nonce, ClientIP: client, ServerIP: server,
	}, nil
}

// signature is one that is ready, or why it is not.
type signature struct {
	text string
	err  error
}

// signing signs while the database is asked: a signature takes more than a millisecond.
func signing(own *cert.Certificate, message string) <-chan signature {
	signed := make(chan signature, 1)
	go func() {
		text, err := own.Sign(message)
		signed <- signature{text, err}
	}()
	return signed
}

// allowed finds out what the two certificates allow, and sees to it that the chain of the server's is
// known here.
func (c *conversation) allowed(ctx context.Context, own, other *cert.Certificate) error {
	look := func(tx *db.Tx) error {
		theirs, err := session.Certificate(ctx, tx, other.ID)
		if err != nil {
			return err
		}
		return c.scopesOf(ctx, tx, own, theirs)
	}
	d := c.Engine.Env().DB
	err := d.Read(ctx, look)
	if errors.Is(err, session.ErrNotFound) {
		if err = c.saveServerChain(ctx, other); err == nil {
			err = d.Read(ctx, look)
		}
	}
	return err
}

// saveServerChain fetches the chain of the server's certificate, and checks it.
func (c *conversation) saveServerChain(ctx context.Context, other *cert.Certificate) error {
	env := c.Engine.Env()
	chain, err := c.peer.CertificateChain(ctx, other.ID)
	if err != nil {
		return err
	}
	err = env.DB.Write(ctx, func(tx *db.Tx) error {
		_, _, err := session.SaveChain(ctx, tx, chain, other.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("the certificate chain of %s: %w", c.peer.BaseURL, err)
	}
	return nil
}

// close ends the sync session on both sides.
func (c *conversation) close(ctx context.Context) error {
	if err := c.peer.CloseSyncSession(ctx, c.sync.ID); err != nil && !IsNotFound(err) {
		return err
	}
	env := c.Engine.Env()
	return env.DB.Write(ctx, func(tx *db.Tx) error {
		return session.CloseSync(ctx, tx, c.sync.ID, env.Now())
	})
}

// instanceID reads the id out of an instance's JSON text; "" when there is none.
func instanceID(text string) string {
	var i wire.Instance
	if wire.Read(strings.NewReader(text), 1<<20, &i) != nil {
		return ""
	}
	return i.ID
}

// addresses tells by which addresses the two peers see each other, as far as that can
// be found out without the server's help. It is information for operators only.
func addresses(ctx context.Context, base string) (client, server string) {
	u, err := url.Parse(base)
	if err != nil {
		return "", ""
	}
	port := u.Port()
	if port == "" {
		port = u.Scheme
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	// A UDP "connection" sends nothing; it only asks the system for the route.
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return "", ""
	}
	defer conn.Close()
	client, _, _ = net.SplitHostPort(conn.LocalAddr().String())
	server, _, _ = net.SplitHostPort(conn.RemoteAddr().String())
	return client, server
}
