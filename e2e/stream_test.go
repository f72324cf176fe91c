package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// stream is what EventSource is in a browser, without its reconnecting (HTML §9.2).
type stream struct {
	t      *testing.T
	res    *http.Response
	events chan event // closed with the stream
	close  context.CancelFunc
}

type event struct {
	id, name string
	data     string
}

// listen opens an event stream.
func (a *agent) listen(path string, options ...option) *stream {
	a.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.origin+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	asEventSource(r)
	for _, change := range options {
		change(r)
	}
	client := *a.client
	client.Timeout = 0
	client.Transport = a.client.Transport.(recorder).next // which waits for the whole body
	patience := time.AfterFunc(startTime, cancel)         // for the answer to begin
	res, err := client.Do(r)
	if !patience.Stop() || err != nil {
		cancel()
		a.t.Fatalf("%s: no answer: %v", path, err)
	}
	s := &stream{t: a.t, res: res, events: make(chan event, 100), close: cancel}
	a.t.Cleanup(cancel)
	if res.StatusCode == http.StatusOK && res.Header.Get("Content-Type") == "text/event-stream" {
		go s.read(a)
	} else {
		close(s.events)
	}
	return s
}

func asEventSource(r *http.Request) {
	for name, value := range map[string]string{
		"Accept": "text/event-stream", "Cache-Control": "no-store",
		"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty",
	} {
		r.Header.Set(name, value)
	}
}

func (s *stream) read(a *agent) {
	defer close(s.events)
	defer s.res.Body.Close()
	var all strings.Builder
	defer func() {
		a.got.mu.Lock()
		defer a.got.mu.Unlock()
		a.got.list = append(a.got.list, receipt{s.res.Request.URL, all.String()})
	}()
	var e event
	lines := bufio.NewScanner(io.TeeReader(s.res.Body, &all))
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if e.data != "" { // else it is none
				s.events <- e
			}
			e = event{id: e.id}
		case field == "id":
			e.id = value
		case field == "event":
			e.name = value
		case field == "data":
			e.data += value
		}
	}
}

// next waits for the next event, for a second. At the end of the stream ok is false.
func (s *stream) next() (e event, ok bool) {
	s.t.Helper()
	select {
	case e, ok = <-s.events:
		return e, ok
	case <-time.After(atOnce):
		s.t.Fatalf("nothing has come for %s", atOnce)
		return event{}, false
	}
}

// json decodes the event's data.
func (e event) json(t *testing.T) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(e.data), &object); err != nil {
		t.Fatalf("%v in %q", err, e.data)
	}
	return object
}
