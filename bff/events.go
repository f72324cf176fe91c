package bff

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/problem"
)

const (
	maxStreams   = 16               // of one session on one replica: tabs that all listen, and some to come
	heartbeat    = 15 * time.Second // shorter than the patience of proxies
	writeTimeout = 2 * heartbeat    // for a browser that reads nothing
	lookAgain    = 2 * time.Second  // after a failure of the store
	lookSoonest  = time.Second      // should the clocks disagree about a deadline that has passed
	// reconnect is what a browser waits before it asks for a stream that has ended.
	reconnect = 2 * time.Second
	// finalEvent is the id of an event with which a session has ended. A browser that asks again has heard it, and is
	// told that there is no more.
	finalEvent = "end"
)

// sessionEvent is the data of a session event: the body of /bff/session, and what has happened.
type sessionEvent struct {
	sessionAnswer
	Change string         `json:"change"`          // current, extended, refreshed or ended
	Cause  session.Reason `json:"cause,omitempty"` // of the end, where it is known
}

// Events tells a page what happens to its session, on whichever replica, while it happens (pains.md 8): a stream of
// server-sent events (WHATWG HTML §9.2), which closes with the session. Nobody signed in is 204, after which a browser
// does not ask again. A page that was cut off hears of an end that it has missed, once.
//
// Listening is no activity (RFR-33), and the cookie stays as it is: it is for /bff/session to say why there is no
// session. It relies on the origin rule, since an EventSource cannot send a header.
func (h *Handler) Events(w http.ResponseWriter, r *http.Request) error {
	s, err := h.Open(r)
	var changed <-chan struct{}
	if err == nil {
		if !h.streams.enter(s.ID) {
			return problem.New(problem.TooManyRequests, "this session has %d event streams; let its tabs share one", maxStreams)
		}
		defer h.streams.leave(s.ID)
		var stop func()
		changed, stop = h.Sessions.Watch(s.ID)
		defer stop()
		s, err = h.Sessions.Reopen(r.Context(), s) // what happened before the watch
	}
	answer, known := h.describe(s, err)
	if !known {
		return err
	}
	if last := r.Header.Get("Last-Event-ID"); !answer.Authenticated && (last == "" || last == finalEvent) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	stream := newEventStream(w)
	if err != nil {
		stream.send(sessionEvent{answer, "ended", session.Cause(err)})
		return nil
	}
	stream.send(sessionEvent{sessionAnswer: answer, Change: "current"})
	h.follow(r.Context(), stream, s, changed)
	return nil
}

// follow sends what happens to s until it ends, the browser goes away or the gateway drains. While the store cannot be
// asked nothing is known to have happened.
func (h *Handler) follow(ctx context.Context, stream *eventStream, s *session.Session, changed <-chan struct{}) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	look := time.NewTimer(h.untilDeadline(s))
	defer look.Stop()
	for stream.err == nil {
		select {
		case <-beat.C:
			stream.comment("")
			continue
		case <-changed:
		case <-look.C:
		case <-h.Draining:
			return
		case <-ctx.Done():
			return
		}
		now, err := h.Sessions.Reopen(ctx, s)
		answer, known := h.describe(now, err)
		switch {
		case !known:
			look.Reset(lookAgain)
			continue
		case err != nil:
			stream.send(sessionEvent{answer, "ended", session.Cause(err)})
			return
		}
		if change := changeOf(s, now); change != "" {
			stream.send(sessionEvent{sessionAnswer: answer, Change: change})
		}
		s = now
		look.Reset(h.untilDeadline(s))
	}
}

// changeOf says what became of a session, "" if nothing that a page is told. A refresh may have been followed by
// activity; the event has both. New claims may come by themselves, after the tokens.
func changeOf(before, now *session.Session) string {
	sameClaims := maps.EqualFunc(now.Claims, before.Claims, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) })
	switch {
	case !now.Tokens.Access.Equal(before.Tokens.Access), !sameClaims:
		return "refreshed"
	case now.IdleAt.After(before.IdleAt):
		return "extended"
	}
	return ""
}

// untilDeadline is how long s has to live unless there is activity.
func (h *Handler) untilDeadline(s *session.Session) time.Duration {
	deadline := s.IdleAt
	if s.ExpiresAt.Before(deadline) {
		deadline = s.ExpiresAt
	}
	return max(deadline.Sub(h.Now()), lookSoonest)
}

// streams counts the open event streams of each session.
type streams struct {
	mu   sync.Mutex
	open map[session.ID]int
}

// enter counts one more, unless there are maxStreams.
func (s *streams) enter(id session.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[id] >= maxStreams {
		return false
	}
	if s.open == nil {
		s.open = map[session.ID]int{}
	}
	s.open[id]++
	return true
}

func (s *streams) leave(id session.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[id]--; s.open[id] == 0 {
		delete(s.open, id)
	}
}

// eventStream is a response of server-sent events. After a failure, which means that the browser is gone, it writes
// nothing more.
type eventStream struct {
	w    http.ResponseWriter
	conn *http.ResponseController
	sent int
	err  error
}

// newEventStream begins the response. Of proxies that collect an answer before they pass it on, some can be told not
// to, and others give way to two kilobytes.
func newEventStream(w http.ResponseWriter) *eventStream {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	e := &eventStream{w: w, conn: http.NewResponseController(w)}
	e.comment(strings.Repeat(" ", 2<<10))
	e.write(fmt.Sprintf("retry: %d\n\n", reconnect.Milliseconds()))
	return e
}

func (e *eventStream) send(event sessionEvent) {
	data, err := json.Marshal(event)
	if err != nil { // of claims, which were JSON when they came
		e.err = err
		return
	}
	e.sent++
	id := fmt.Sprint(e.sent)
	if event.Change == "ended" {
		id = finalEvent
	}
	e.write(fmt.Sprintf("id: %s\nevent: session\ndata: %s\n\n", id, data))
}

// comment sends what a browser ignores, to keep the connection open and to find out whether it is.
func (e *eventStream) comment(text string) { e.write(":" + text + "\n\n") }

func (e *eventStream) write(text string) {
	if e.err != nil {
		return
	}
	_ = e.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // of the connection, whose clock is not ours
	if _, e.err = e.w.Write([]byte(text)); e.err == nil {
		e.err = e.conn.Flush()
	}
}
