package bff

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
	"github.com/cloakroom/cloakroom/session/secret"
)

// A stage is a handler without a network, for tests in which time passes by itself. At the end of its test no
// goroutine of a stream is left, or synctest fails.
type stage struct {
	*Handler
	t     *testing.T
	store *brokenStore
	s     *session.Session
}

func newStage(t *testing.T) *stage {
	t.Helper()
	public, err := url.Parse("https://app.example")
	if err != nil {
		t.Fatal(err)
	}
	ring, store := session.NewKeyRing(), &brokenStore{Store: memstore.New()}
	sessions := session.NewManager(store, ring, session.Options{IdleTimeout: 30 * time.Minute, Lifetime: 12 * time.Hour})
	t.Cleanup(func() { _ = sessions.Close(context.Background()) })
	h := New(Options{
		URLs: URLs{Public: public, BasePath: "/bff"}, Keys: ring, Sessions: sessions, Logger: slog.New(slog.DiscardHandler),
	})
	s, err := sessions.Create(t.Context(), session.Login{
		Provider: "one", Issuer: "https://op.example", Subject: "alice", Tokens: session.Tokens{
			Access: secret.New("access"), IssuedAt: time.Now(), ExpiresAt: time.Now().Add(24 * time.Hour),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &stage{h, t, store, s}
}

// listen is a page that listens until the test ends. done is closed when the stream has ended.
func (s *stage) listen() (page *page, done <-chan struct{}) {
	ctx, cancel := context.WithCancel(s.t.Context())
	s.t.Cleanup(cancel)
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/bff/events", nil)
	r.AddCookie(&http.Cookie{Name: s.cookies.session, Value: s.s.Ticket().Reveal()})
	page, ended := newPage(), make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Events(page, r); err != nil {
			s.t.Error(err)
		}
	}()
	synctest.Wait()
	return page, ended
}

// A page is the browser's side of a stream.
type page struct {
	mu       sync.Mutex
	header   http.Header
	body     bytes.Buffer
	unsent   int       // octets that were written and not flushed
	deadline time.Time // of writing
	gone     bool
}

func newPage() *page { return &page{header: http.Header{}} }

func (p *page) Header() http.Header { return p.header }
func (p *page) WriteHeader(int)     {}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return 0, errors.New("the browser is gone")
	}
	p.unsent += len(b)
	return p.body.Write(b)
}

func (p *page) FlushError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unsent = 0
	return nil
}

func (p *page) SetWriteDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	return nil
}

// sent is what the page has got by now, and the deadline that writing has.
func (p *page) sent() (text string, deadline time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.body.String()[:p.body.Len()-p.unsent], p.deadline
}

func (p *page) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
}

// events are those that the page has by now.
func (p *page) events() (events []sessionEvent) {
	text, _ := p.sent()
	for line := range strings.Lines(text) {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			var e sessionEvent
			_ = json.Unmarshal([]byte(data), &e) // which leaves an event that no test wants
			events = append(events, e)
		}
	}
	return events
}

func (p *page) wantChanges(t *testing.T, want ...string) (last sessionEvent) {
	t.Helper()
	events := p.events()
	var got []string
	for _, e := range events {
		got = append(got, e.Change)
		last = e
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("events %q, want %q", got, want)
	}
	return last
}

func closed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// RFR-33, PX-21: listening keeps no session alive, and the stream notices a deadline by itself, which nobody announces.
func TestEventsAtIdleDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stage := newStage(t)
		page, done := stage.listen()
		time.Sleep(30*time.Minute - time.Second)
		synctest.Wait()
		page.wantChanges(t, "current")
		time.Sleep(time.Second)
		synctest.Wait()
		e := page.wantChanges(t, "current", "ended")
		if e.Reason != "idle" || e.Cause != session.ReasonIdle || !closed(done) {
			t.Errorf("%+v; ended: %v", e, closed(done))
		}
	})
}

// Activity is not announced; at the deadline that it has moved, the page hears of the new one.
func TestEventsAfterActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stage := newStage(t)
		page, done := stage.listen()
		for range 24 * 2 { // until the absolute deadline, an API call each quarter of an hour
			time.Sleep(15 * time.Minute)
			s, err := stage.Sessions.Open(t.Context(), stage.s.Ticket())
			if err != nil {
				break
			}
			if _, err := stage.Sessions.Touch(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		events := page.events()
		if len(events) < 20 || events[1].Change != "extended" || *events[1].IdleExpiresIn < 14*60 {
			t.Fatalf("%d events: %+v", len(events), events)
		}
		if last := events[len(events)-1]; last.Reason != "expired" || last.Cause != session.ReasonExpired || !closed(done) {
			t.Errorf("%+v; ended: %v", last, closed(done))
		}
	})
}

// A comment every 15 seconds keeps the connection from looking idle, and each write has a deadline of its own.
func TestEventsHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page, done := newStage(t).listen()
		before, _ := page.sent()
		for i := range 10 {
			time.Sleep(heartbeat)
			synctest.Wait()
			got, deadline := page.sent()
			if got != before+strings.Repeat(":\n\n", i+1) {
				t.Fatalf("after %d heartbeats: %q", i+1, strings.TrimPrefix(got, before))
			}
			if left := time.Until(deadline); left != writeTimeout {
				t.Fatalf("writing may take %v", left)
			}
		}
		page.leave()
		time.Sleep(heartbeat)
		synctest.Wait()
		if !closed(done) {
			t.Error("the stream goes on without its browser")
		}
	})
}

// A failing store is no end: the stream stays, and tells what it has missed when the store is back.
func TestEventsThroughFailureOfStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stage := newStage(t)
		page, done := stage.listen()
		stage.store.blind.Store(true)
		if err := stage.Sessions.EndByID(t.Context(), stage.s.ID, session.ReasonUser); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		page.wantChanges(t, "current")
		stage.store.blind.Store(false)
		time.Sleep(lookAgain)
		synctest.Wait()
		if e := page.wantChanges(t, "current", "ended"); e.Cause != session.ReasonUser || !closed(done) {
			t.Errorf("%+v; ended: %v", e, closed(done))
		}
	})
}
