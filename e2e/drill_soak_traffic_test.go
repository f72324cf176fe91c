//go:build drills

package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// soak is visitors who do all kinds of things, each one after the other.
type soak struct {
	t         *testing.T
	g         *gateway
	clients   http.Client
	transport *http.Transport
	visitors  []*soakVisitor
	renew     chan *soakVisitor // who wants to be signed out and in again

	mu   sync.Mutex
	done map[string]int // by kind
	bad  map[string]int // what should not have come
	sum  atomic.Int64
}

type soakVisitor struct {
	ticket  string // the session cookie, as a header field
	renewed chan struct{}
}

// deeds are what visitors do, and how often of a thousand times.
var deeds = []struct {
	name string
	of   int
	do   func(*soak, *soakVisitor) error
}{
	{"calls", 790, func(s *soak, v *soakVisitor) error { return s.get(v, "/api/small", http.StatusOK, soakSmall) }},
	{"session status", 30, func(s *soak, v *soakVisitor) error { return s.get(v, "/bff/session", http.StatusOK, "") }},
	{"uploads of 100 KiB", 50, (*soak).upload},
	{"answers of 1 MiB", 40, (*soak).download},
	{"upstream says 500", 10, func(s *soak, v *soakVisitor) error { return s.get(v, "/api/error", 500, "") }},
	{"upstream says nothing", 10, func(s *soak, v *soakVisitor) error { return s.get(v, "/api/nothing", 502, "") }},
	{"upstream breaks off", 10, (*soak).half},
	{"hung up before the answer", 20, (*soak).giveUp},
	{"hung up within the answer", 20, func(s *soak, v *soakVisitor) error { return s.taste(v, "/api/large", "xxx", nil) }},
	{"event streams", 10, func(s *soak, v *soakVisitor) error { return s.taste(v, "/live/events", "data:", nil) }},
	{"WebSockets", 8, func(s *soak, v *soakVisitor) error { return s.taste(v, "/live/socket", "hello", asWebSocket) }},
	{"logouts and logins", 2, (*soak).signInAgain},
}

func newSoak(t *testing.T, g *gateway) *soak {
	s := &soak{t: t, g: g, renew: make(chan *soakVisitor)}
	s.reset()
	s.transport = &http.Transport{
		MaxIdleConnsPerHost: 1000,
		DisableCompression:  true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, g.config.Listen)
		},
	}
	s.clients = http.Client{Transport: s.transport}
	return s
}

// signIn lets new visitors come.
func (s *soak) signIn(n int) {
	for range n {
		v := &soakVisitor{renewed: make(chan struct{})}
		s.login(v)
		s.visitors = append(s.visitors, v)
	}
}

func (s *soak) login(v *soakVisitor) {
	a := newAgent(s.g)
	a.login()
	a.client.Transport.(recorder).next.(*http.Transport).CloseIdleConnections()
	name := sessionCookie(a.origin)
	v.ticket = name + "=" + a.cookie(name)
}

// run lets all visitors go on for some time, and says what the gateway held at each second of it.
func (s *soak) run(d time.Duration) (samples []holding) {
	ctx, stop := context.WithTimeout(s.t.Context(), d)
	defer stop()
	var group sync.WaitGroup
	for _, v := range s.visitors {
		group.Go(func() {
			for ctx.Err() == nil {
				s.step(v)
			}
		})
	}
	gone := make(chan struct{})
	go func() {
		group.Wait()
		close(gone)
	}()
	tick := time.NewTicker(min(time.Second, d/30))
	defer tick.Stop()
	for {
		select {
		case v := <-s.renew:
			s.login(v)
			v.renewed <- struct{}{}
		case <-tick.C:
			samples = append(samples, s.g.holding())
			if s.total() >= soakHour {
				stop()
			}
		case <-gone:
			return samples
		}
	}
}

// step does one thing.
func (s *soak) step(v *soakVisitor) {
	n := rand.IntN(1000)
	for _, deed := range deeds {
		if n -= deed.of; n < 0 {
			err := deed.do(s, v)
			s.sum.Add(1)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.done[deed.name]++
			if err != nil {
				s.bad[deed.name+": "+err.Error()]++
			}
			return
		}
	}
}

// send sends a request of a page of the application.
func (s *soak) send(
	ctx context.Context, v *soakVisitor, method, path string, change option, body io.Reader,
) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.g.config.Origin+path, body)
	if err != nil {
		return nil, err
	}
	asFetch(r)
	r.Header.Set("Cookie", v.ticket)
	if change != nil {
		change(r)
	}
	return s.clients.Do(r)
}

// expect reads an answer to its end and compares it, with any body if that is "".
func expect(res *http.Response, err error, status int, body string) error {
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != status || body != "" && string(text) != body {
		return fmt.Errorf("%s %s", res.Status, codeOf(&answer{res, string(text)}))
	}
	return nil
}

func (s *soak) get(v *soakVisitor, path string, status int, body string) error {
	res, err := s.send(context.Background(), v, http.MethodGet, path, nil, nil)
	return expect(res, err, status, body)
}

func (s *soak) upload(v *soakVisitor) error {
	body := bytes.NewReader(make([]byte, soakUpload))
	res, err := s.send(context.Background(), v, http.MethodPost, "/api/upload", nil, body)
	return expect(res, err, http.StatusOK, fmt.Sprint(soakUpload))
}

func (s *soak) download(v *soakVisitor) error {
	res, err := s.send(context.Background(), v, http.MethodGet, "/api/large", nil, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); err != nil || n != soakLarge {
		return fmt.Errorf("%s, %d bytes: %w", res.Status, n, err)
	}
	return nil
}

// half wants an answer that does not look complete.
func (s *soak) half(v *soakVisitor) error {
	err := s.get(v, "/api/half", http.StatusOK, "")
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) { // within the body, or before the header has left
		return nil
	}
	return fmt.Errorf("half an answer is %v", err)
}

// giveUp hangs up while the upstream is silent.
func (s *soak) giveUp(v *soakVisitor) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(20))*time.Millisecond)
	defer cancel()
	res, err := s.send(ctx, v, http.MethodGet, "/api/silent", nil, nil)
	if err = expect(res, err, 0, ""); errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return fmt.Errorf("from a silent upstream: %v", err)
}

// taste reads the beginning of an answer and hangs up.
func (s *soak) taste(v *soakVisitor, path, begins string, change option) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	res, err := s.send(ctx, v, http.MethodGet, path, change, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	beginning := make([]byte, len(begins))
	if _, err := io.ReadFull(res.Body, beginning); err != nil || string(beginning) != begins {
		return fmt.Errorf("%s %q: %w", res.Status, beginning, err)
	}
	return nil
}

func (s *soak) signInAgain(v *soakVisitor) error {
	res, err := s.send(context.Background(), v, http.MethodPost, "/bff/logout", nil, nil)
	if err := expect(res, err, http.StatusOK, ""); err != nil {
		return err
	}
	s.renew <- v // the test itself signs in: a login that fails ends it
	<-v.renewed
	return nil
}

// hangUp closes all idle connections, on both sides of the gateway.
func (s *soak) hangUp(upstreams ...*httptest.Server) {
	s.transport.CloseIdleConnections()
	for _, u := range upstreams {
		u.CloseClientConnections()
	}
}

func (s *soak) reset() {
	s.done, s.bad = map[string]int{}, map[string]int{}
	s.sum.Store(0)
}

func (s *soak) total() int { return int(s.sum.Load()) }

// report prints what was done, and fails the test for what should not have come.
func (s *soak) report() {
	s.t.Helper()
	text := &strings.Builder{}
	for _, deed := range deeds {
		fmt.Fprintf(text, ", %d %s", s.done[deed.name], deed.name)
		if s.done[deed.name] == 0 {
			s.t.Errorf("no %s", deed.name)
		}
	}
	s.t.Log(strings.TrimPrefix(text.String(), ", "))
	for _, outcome := range slices.Sorted(maps.Keys(s.bad)) {
		s.t.Errorf("%d times: %s", s.bad[outcome], outcome)
	}
}
