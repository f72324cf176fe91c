package gateway

import (
	"net/http"
	"time"
)

const (
	// bodyTime is how long a request's body may take that goes to no upstream (PX-34). Whether a handler wants it or not,
	// net/http waits for a body before it answers, and would wait for ever.
	bodyTime = 30 * time.Second
	// answerTime is how long an answer may take that comes from no upstream.
	answerTime = 10 * time.Minute
	// stallTime is how long a client may take nothing of an answer that is there for it.
	stallTime = time.Minute
)

// limitBody bounds the time that the rest of the body may take; 0 is unlimited. Where it is over, reading the body fails,
// the answer goes out and the connection is closed.
func limitBody(w http.ResponseWriter, r *http.Request, limit time.Duration) {
	if r.ContentLength == 0 { // or the deadline would end a request that has nothing more to send
		return
	}
	var deadline time.Time
	if limit > 0 {
		deadline = time.Now().Add(limit) // of the connection, whose clock is not ours
	}
	_ = http.NewResponseController(w).SetReadDeadline(deadline) // HTTP/1 and HTTP/2 both have it
}

// limitAnswer bounds the time that the rest of an answer may take over HTTP/2. There a client says for each
// request how much of its answer it takes, and the connection as a whole may be in order: listenTCP sees to that.
func limitAnswer(w http.ResponseWriter, r *http.Request, limit time.Duration) {
	if r.ProtoMajor < 2 {
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit))
}
