package bff

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/session"
)

// replica is the session manager of one more gateway at the same store.
func (a *app) replica() *session.Manager {
	m := session.NewManager(a.store, a.Keys, session.Options{
		IdleTimeout: 30 * time.Minute, Lifetime: 12 * time.Hour, RefreshBefore: time.Minute,
		Refresher: NewRefresher(a.Providers), Now: a.now,
	})
	a.t.Cleanup(func() { _ = m.Close(context.Background()) })
	return m
}

func (b *browser) ticket() session.Ticket {
	b.t.Helper()
	ticket, err := session.ParseTicket(b.cookies(b.app.cookies.session)[0].Value)
	if err != nil {
		b.t.Fatal(err)
	}
	return ticket
}

// told is a session event as a page gets it.
type told struct {
	sessionEvent
	id string
}

// listener is an EventSource that does not connect again.
type listener struct {
	t      *testing.T
	res    *http.Response
	events chan told
	raw    chan string // everything that came, after the end
	close  func()
}

// listen opens a stream with this client.
func (b *browser) listen(client *http.Client, origin string, headers ...string) *listener {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, origin+"/bff/events", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, cookie := range b.cookies(b.app.cookies.session) {
		req.AddCookie(cookie)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	late := time.AfterFunc(5*time.Second, cancel) // for the beginning
	res, err := client.Do(req)
	late.Stop()
	if err != nil {
		b.t.Fatal(err)
	}
	l := &listener{b.t, res, make(chan told, 16), make(chan string, 1), func() { cancel(); res.Body.Close() }}
	b.t.Cleanup(l.close)
	go l.read()
	return l
}

func (l *listener) read() {
	var raw strings.Builder
	var event told
	for lines := bufio.NewScanner(l.res.Body); lines.Scan(); {
		line := lines.Text()
		raw.WriteString(line + "\n")
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			event.id = id
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			if err := json.Unmarshal([]byte(data), &event.sessionEvent); err != nil {
				l.t.Errorf("%s: %v", data, err)
			}
			l.events <- event
			event = told{}
		}
	}
	l.raw <- raw.String()
	close(l.events)
}

// next is the next event, which has to come soon. It is nil when the stream has ended.
func (l *listener) next() *told {
	l.t.Helper()
	select {
	case event, ok := <-l.events:
		if !ok {
			return nil
		}
		return &event
	case <-time.After(5 * time.Second):
		l.t.Fatal("nothing comes")
		return nil
	}
}

func (l *listener) want(change string) told {
	l.t.Helper()
	event := l.next()
	if event == nil || event.Change != change {
		l.t.Fatalf("event %+v, want %s", event, change)
	}
	return *event
}

func (l *listener) wantEnd() {
	l.t.Helper()
	if event := l.next(); event != nil {
		l.t.Errorf("event %+v, want the end of the stream", event)
	}
}

// askForEvents asks for a stream and returns the answer, which has to end soon.
func (b *browser) askForEvents(headers ...string) answer {
	b.t.Helper()
	client := *b.http
	client.Timeout = 5 * time.Second
	return (&browser{b.t, b.app, &client}).get("/bff/events", headers...)
}

// pains.md 8, RPL-12, BCL-28: a page hears at once what happens to its session on another replica, over either version
// of HTTP, and the stream ends with the session.
func TestEvents(t *testing.T) {
	t.Parallel()
	for _, version := range []int{1, 2} {
		a := newApp(t)
		b := a.browser()
		b.login()
		server := httptest.NewUnstartedServer(a.Config.Handler)
		server.EnableHTTP2 = version == 2
		server.StartTLS()
		t.Cleanup(server.Close)
		l := b.listen(server.Client(), server.URL)

		if l.res.ProtoMajor != version || l.res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", l.res.Proto, l.res.Status)
		}
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Encoding": "",
		} {
			if got := l.res.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if e := l.want("current"); e.id != "1" || string(e.User["sub"]) != `"alice"` || e.LogoutURL != b.session().LogoutURL ||
			*e.IdleExpiresIn < 29*60 {
			t.Errorf("the first event: %+v", e)
		}

		other := a.replica()
		s, err := other.Open(t.Context(), b.ticket())
		if err != nil {
			t.Fatal(err)
		}
		a.advance(time.Minute)
		if _, err := other.Extend(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if e := l.want("extended"); e.id != "2" || *e.IdleExpiresIn < 29*60 {
			t.Errorf("after extending: %+v", e)
		}
		a.advance(time.Until(s.Tokens.ExpiresAt)) // and a minute more
		if _, err := other.Fresh(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		l.want("refreshed")

		begun := time.Now()
		if err := other.End(t.Context(), s, session.ReasonBackchannel); err != nil {
			t.Fatal(err)
		}
		e := l.want("ended")
		if took := time.Since(begun); took > time.Second {
			t.Errorf("heard of the end after %v", took)
		}
		if e.Authenticated || e.Reason != "ended" || e.Cause != session.ReasonBackchannel || e.LoginURL != "/bff/login" ||
			e.id != finalEvent {
			t.Errorf("the last event: %+v", e)
		}
		l.wantEnd()
		wantNoTokens(t, <-l.raw, s)
	}
}

// BFF-03: of tokens and ticket there is nothing in the stream.
func wantNoTokens(t *testing.T, stream string, s *session.Session) {
	t.Helper()
	for name, secret := range map[string]string{
		"access token": s.Tokens.Access.Reveal(), "refresh token": s.Tokens.Refresh.Reveal(), "ID token": s.Tokens.ID.Reveal(),
		"ticket": s.Ticket().Reveal(),
	} {
		if secret == "" || strings.Contains(stream, secret) {
			t.Errorf("the stream has the %s %q", name, secret)
		}
	}
}

// Proxies that buffer give way to the padding, which comes before anything of interest.
func TestEventsBeginWithPadding(t *testing.T) {
	t.Parallel()
	b := newApp(t).browser()
	b.login()
	l := b.listen(http.DefaultClient, b.app.URL)
	l.want("current")
	b.postLogout("")
	l.want("ended")
	l.wantEnd()
	raw := <-l.raw
	if first := strings.Index(raw, "\n\n"); first < 2<<10 || !strings.HasPrefix(raw, ":") {
		t.Errorf("the stream begins with %d octets of comment", first)
	}
	if !strings.Contains(raw, "\nretry: 2000\n") {
		t.Error("no retry")
	}
}

// Nobody signed in: 204, which makes an EventSource stop. The cookie is left to /bff/session, which says why.
func TestEventsOfNobody(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser()
	if res := b.askForEvents(); res.StatusCode != http.StatusNoContent {
		t.Errorf("%s %s", res.Status, res.body)
	}
	b.login()
	a.advance(31 * time.Minute)
	if res := b.askForEvents(); res.StatusCode != http.StatusNoContent || res.Header.Get("Set-Cookie") != "" {
		t.Errorf("%s %v", res.Status, res.Header)
	}
	b.wantAnonymous("idle")
}

// A page that was cut off when its session ended hears of it once, and does not ask a third time.
func TestEventsResume(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		finish func(a *app, b *browser)
		reason string
		cause  session.Reason
	}{
		"idle":   {func(a *app, _ *browser) { a.advance(31 * time.Minute) }, "idle", session.ReasonIdle},
		"logout": {func(_ *app, b *browser) { b.postLogout("") }, "none", ""}, // it took the cookie along
		"admin": {func(a *app, b *browser) {
			if err := a.Sessions.EndByID(t.Context(), b.ticket().ID(), session.ReasonAdmin); err != nil {
				t.Error(err)
			}
		}, "ended", session.ReasonAdmin},
		"replaced": {func(a *app, b *browser) {
			old := b.cookies(a.cookies.session)[0]
			b.login()
			b.setCookie(old)
		}, "ended", session.ReasonReplaced},
	} {
		a := newApp(t)
		b := a.browser()
		b.login()
		tt.finish(a, b)
		res := b.askForEvents("Last-Event-ID: 7")
		var event sessionEvent
		err := json.Unmarshal([]byte(between(res.body, "data: ", "\n")), &event)
		if err != nil || strings.Count(res.body, "data: ") != 1 {
			t.Fatalf("%s: %s %s", name, res.Status, res.body)
		}
		if event.Change != "ended" || event.Authenticated || event.Reason != tt.reason || event.Cause != tt.cause {
			t.Errorf("%s: %+v", name, event)
		}
		if res := b.askForEvents("Last-Event-ID: " + between(res.body, "id: ", "\n")); res.StatusCode != http.StatusNoContent {
			t.Errorf("%s, again: %s %s", name, res.Status, res.body)
		}
	}
}

// Who signs in again in another tab is heard of at the next connection, whatever was heard before.
func TestEventsOfNextSession(t *testing.T) {
	t.Parallel()
	b := newApp(t).browser()
	b.login()
	l := b.listen(http.DefaultClient, b.app.URL, "Last-Event-ID: "+finalEvent)
	l.want("current")
	b.login() // ends the session before
	if e := l.want("ended"); e.Cause != session.ReasonReplaced {
		t.Errorf("%+v", e)
	}
	b.listen(http.DefaultClient, b.app.URL, "Last-Event-ID: "+finalEvent).want("current")
}

// At most 16 streams of a session on a replica; others are not in their way.
func TestEventsLimit(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser()
	b.login()
	var open []*listener
	for range maxStreams {
		l := b.listen(http.DefaultClient, a.URL)
		l.want("current")
		open = append(open, l)
	}
	if res := b.askForEvents(); strings.TrimSpace(res.body) != "too_many_requests" {
		t.Errorf("one more: %s %s", res.Status, res.body)
	}
	other := a.browser()
	other.login()
	other.listen(http.DefaultClient, a.URL).want("current")

	id := b.ticket().ID()
	open[0].close()
	poll(t, "room for one more", func() bool { return a.openStreams(id) < maxStreams })
	b.listen(http.DefaultClient, a.URL).want("current")
	b.postLogout("")
	poll(t, "the end of all streams", func() bool { return a.openStreams(id) == 0 })
}

func (a *app) openStreams(id session.ID) int {
	a.streams.mu.Lock()
	defer a.streams.mu.Unlock()
	return a.streams.open[id]
}

// Event streams end when the gateway drains; nobody is told of an end, and the browser asks another replica.
func TestEventsDrain(t *testing.T) {
	t.Parallel()
	draining := make(chan struct{})
	b := newApp(t, func(o *setup) { o.Draining = draining }).browser()
	b.login()
	l := b.listen(http.DefaultClient, b.app.URL)
	l.want("current")
	close(draining)
	l.wantEnd()
}

// A store that is down at the beginning is no answer about the session.
func TestEventsWithoutStore(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	b := a.browser()
	b.login()
	a.store.blind.Store(true)
	if res := b.askForEvents(); res.StatusCode != http.StatusTeapot { // the gateway makes it a 503
		t.Errorf("%s %s", res.Status, res.body)
	}
	if n := a.openStreams(b.ticket().ID()); n != 0 {
		t.Errorf("%d streams are counted", n)
	}
}
