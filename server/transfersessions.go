package server

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/morango-go/morango/counter"
	"github.com/morango-go/morango/db"
	"github.com/morango-go/morango/engine"
	"github.com/morango-go/morango/ident"
	"github.com/morango-go/morango/partition"
	"github.com/morango-go/morango/session"
	"github.com/morango-go/morango/stage"
	"github.com/morango-go/morango/wire"
)

// maxFilter bounds the prefixes of one transfer session.
const maxFilter = 1000

// postTransferSession opens a transfer session, or goes on with it when it is open.
// A client that cannot ask again gets its answer once queuing is complete.
func (s *Server) postTransferSession(r *http.Request) (answer, error) {
	text, err := s.json(r)
	if err != nil {
		return answer{}, err
	}
	request, err := wire.ParseTransferSessionRequest(text)
	if err != nil {
		return answer{}, err
	}
	wait := s.wait(r)
	wanted, pulled, err := s.wanted(r, request)
	if err != nil {
		return answer{}, err
	}
	if err := checkClaim(request.ClientFSIC, wanted.Filter); err != nil {
		return answer{}, err
	}
	s.settle(r, pulled)
	t, err := s.engine.Begin(r.Context(), wanted, s.terms(r))
	if errors.Is(err, session.ErrExists) {
		return answer{}, wire.FieldErrors{"id": {"Transfer session with this id already exists and is closed."}}
	}
	if err != nil {
		return answer{}, err
	}
	if request.Push && request.RecordsTotal != nil {
		if t, err = s.engine.Update(r.Context(), t.ID, engine.Update{RecordsTotal: request.RecordsTotal}); err != nil {
			return answer{}, err
		}
	}
	if request.TransferStage != nil && s.terms(r).Stream {
		if err := checkStage(*request.TransferStage); err != nil {
			return answer{}, err
		}
		if t, err = s.advance(r, t, stage.Stage(*request.TransferStage), wait); err != nil {
			return answer{}, err
		}
	}
	status := http.StatusCreated
	if !s.agreed(r).Has(wire.AsyncOperations) {
		if t, err = s.engine.Advance(r.Context(), t, stage.Queuing, s.terms(r), wait); err != nil {
			return answer{}, err
		}
		if !stage.Reached(t, stage.Queuing) {
			status = http.StatusAccepted
		}
	}
	return s.transferAnswer(r, status, t)
}

// wanted is the transfer session that a client asks for, if it may have it, and the pulls that it has
// done with when it comes to push.
func (s *Server) wanted(r *http.Request, request wire.TransferSessionRequest) (t session.Transfer, pulled []session.Transfer, err error) {
	syncID, err := ident.Parse(request.SyncSessionID)
	if err != nil {
		return t, nil, badRequest(wire.TextNoSyncSession)
	}
	filter := partition.Parse(request.Filter)
	if filter.Len() > maxFilter || strings.ContainsRune(request.Filter, 0) {
		return t, nil, wire.FieldErrors{"filter": {fmt.Sprintf("Ensure there are no more than %d prefixes, without null characters.", maxFilter)}}
	}
	var sync session.Sync
	err = s.env.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		sync, err = session.ActiveSync(r.Context(), tx, syncID)
		if errors.Is(err, session.ErrNotFound) || err == nil && !sync.IsServer {
			return badRequest(wire.TextNoSyncSession)
		}
		if err != nil {
			return err
		}
		if err := s.permit(r.Context(), tx, sync.Within(), filter, request.Push); err != nil {
			return err
		}
		fresh, err := sameAsBefore(r, tx, request, syncID, filter)
		if err == nil && fresh {
			err = s.roomForTransfer(r.Context(), tx, syncID)
		}
		if err == nil && request.Push {
			pulled, err = s.pulled(r, tx, syncID)
		}
		return err
	})
	if err == nil {
		err = s.charge(r.Context(), sync.ClientCertificateID, len(request.Filter)+len(request.ClientFSIC))
	}
	return session.Transfer{
		ID: request.ID, SyncSessionID: syncID, Filter: filter.String(), Push: request.Push, ClientFSIC: request.ClientFSIC,
	}, pulled, err
}

// sameAsBefore refuses an id that belongs to another transfer, and says whether it is new.
func sameAsBefore(r *http.Request, tx *db.Tx, request wire.TransferSessionRequest, syncID string, filter partition.Filter) (fresh bool, err error) {
	before, err := session.GetTransfer(r.Context(), tx, request.ID)
	if errors.Is(err, session.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if before.SyncSessionID != syncID || before.Push != request.Push || partition.Parse(before.Filter).String() != filter.String() {
		return false, wire.FieldErrors{"id": {"Transfer session with this id already exists with another filter, direction or sync session."}}
	}
	return false, nil
}

// getTransferSession shows an active transfer session. A stage that a process which ended has
// left unfinished is begun again, so that a client that only asks and waits comes to its end;
// and the answer waits a little for a stage that is being worked at.
func (s *Server) getTransferSession(r *http.Request) (answer, error) {
	t, err := s.active(r)
	if err != nil {
		return answer{}, err
	}
	if t.Status == string(stage.Started) {
		allow(r, s.limits.Wait)
		if t, err = s.advance(r, t, stage.Stage(t.Stage), s.limits.Wait); err != nil {
			return answer{}, err
		}
	}
	return s.transferAnswer(r, http.StatusOK, t)
}

// putTransferSession is there to be refused in the reference's words.
func (s *Server) putTransferSession(*http.Request) (answer, error) {
	return answer{}, refuse(http.StatusMethodNotAllowed, wire.TextOnlyPatch)
}

// patchTransferSession takes what the client tells of its side and works up to the
// stage that it asks for.
func (s *Server) patchTransferSession(r *http.Request) (answer, error) {
	t, err := s.active(r)
	if err != nil {
		return answer{}, err
	}
	text, err := s.json(r)
	if err != nil {
		return answer{}, err
	}
	told, err := wire.ParseTransferSessionUpdate(text)
	if err != nil {
		return answer{}, err
	}
	if told.TransferStage != nil {
		if err := checkStage(*told.TransferStage); err != nil {
			return answer{}, err
		}
	}
	wait := s.wait(r)
	if t, err = s.usable(r.Context(), t.ID); err != nil {
		return answer{}, err
	}
	if t, err = s.tell(r, t, told); err != nil {
		return answer{}, err
	}
	if told.TransferStage != nil {
		if t, err = s.advance(r, t, stage.Stage(*told.TransferStage), wait); err != nil {
			return answer{}, err
		}
	}
	return s.transferAnswer(r, http.StatusOK, t)
}

func checkStage(name string) error {
	if !stage.Stage(name).Valid() {
		return wire.FieldErrors{"transfer_stage": {fmt.Sprintf("%.40q is not a stage.", name)}}
	}
	return nil
}

// tell stores what the client says of its side. A pull's total is ours to count.
func (s *Server) tell(r *http.Request, t session.Transfer, told wire.TransferSessionUpdate) (after session.Transfer, err error) {
	update := engine.Update{
		ClientFSIC: told.ClientFSIC, RecordsTotal: told.RecordsTotal, RecordsTransferred: told.RecordsTransferred,
		BytesSent: told.BytesSent, BytesReceived: told.BytesReceived,
	}
	if told.LeftOut != nil && s.agreed(r).Has(wire.MoranGo) {
		defer func() {
			if err == nil {
				after, err = s.engine.TakeOmissions(r.Context(), after, told.LeftOut)
			}
		}()
	}
	if update == (engine.Update{}) {
		return t, nil
	}
	if told.ClientFSIC != nil && len(*told.ClientFSIC) > sessionText {
		if err := s.charge(r.Context(), t.Within.ClientCertificateID, len(*told.ClientFSIC)); err != nil {
			return t, err
		}
	}
	return s.engine.Update(r.Context(), t.ID, update)
}

// advance works up to a stage. A stage that fails is told by the row's status, not by
// the answer's.
func (s *Server) advance(r *http.Request, t session.Transfer, to stage.Stage, wait time.Duration) (session.Transfer, error) {
	if stage.Reached(t, to) {
		return t, nil
	}
	after, err := s.engine.Advance(r.Context(), t, to, s.terms(r), wait)
	if err != nil && after.ID != "" && after.Status == string(stage.Errored) {
		s.log.ErrorContext(r.Context(), "stage failed", "transfer_session", t.ID, "stage", after.Stage, "error", oneLine(err))
		return after, nil
	}
	return after, err
}

// wait is how long an answer waits for a stage; the connection is given the time.
func (s *Server) wait(r *http.Request) time.Duration {
	wait := s.limits.LongWait
	if s.agreed(r).Has(wire.AsyncOperations) {
		wait = s.limits.Wait
	}
	allow(r, wait)
	return wait
}

// deleteTransferSession ends a transfer session: what is left of its stages runs,
// after the answer if need be, then it is closed. One whose records have not all come
// stays, so that the client can go on with it.
func (s *Server) deleteTransferSession(r *http.Request) (answer, error) {
	wait := s.wait(r)
	t, err := s.active(r)
	if err != nil {
		return answer{}, err
	}
	s.keys.forget(t.ID)
	s.meter.ended(t.ID)
	after, err := s.engine.Finish(r.Context(), t, s.terms(r), wait)
	if err != nil && after.Status == string(stage.Errored) && s.agreed(r).Has(wire.AsyncOperations) {
		s.log.ErrorContext(r.Context(), "stage failed", "transfer_session", t.ID, "stage", after.Stage, "error", oneLine(err))
		err = nil // that client looks at the status
	}
	return answer{status: http.StatusNoContent}, err
}

// active reads the active transfer session of the path, of a sync session in which
// we are the server.
func (s *Server) active(r *http.Request) (t session.Transfer, err error) {
	id, err := pathID(r)
	if err != nil {
		return t, err
	}
	err = s.env.DB.Read(r.Context(), func(tx *db.Tx) error {
		t, err = session.ActiveTransfer(r.Context(), tx, id)
		if err == nil && !t.Within.IsServer {
			err = notFound()
		}
		return err
	})
	return t, err
}

// checkClaim refuses filter max counters that are malformed or reach beyond the
// filter when a session begins; later ones the engine looks at.
func checkClaim(text, filter string) error {
	claim, err := counter.Parse([]byte(text))
	if err == nil {
		err = claim.Check(partition.Parse(filter))
	}
	if err != nil {
		return wire.FieldErrors{"client_fsic": {oneLine(err)}}
	}
	return nil
}

// transferBody is a transfer session as it travels.
func transferBody(t session.Transfer) wire.TransferSession {
	return wire.TransferSession{
		ID:                    t.ID,
		StartTimestamp:        wire.Time{Time: t.StartTime},
		LastActivityTimestamp: wire.Time{Time: t.LastTime},
		Active:                t.Active,
		Filter:                t.Filter,
		Push:                  t.Push,
		RecordsTransferred:    t.RecordsTransferred,
		RecordsTotal:          t.RecordsTotal,
		BytesReceived:         t.BytesReceived,
		BytesSent:             t.BytesSent,
		SyncSession:           t.SyncSessionID,
		ServerFSIC:            t.ServerFSIC,
		ClientFSIC:            t.ClientFSIC,
		TransferStage:         t.Stage,
		TransferStageStatus:   t.Status,
	}
}
