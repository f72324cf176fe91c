package gateway

import (
	"net/http"
	"time"
)

// bodyTime is how long a request's body may take that goes to no upstream (PX-34). Whether a handler wants it or not,
// net/http waits for a body before it answers, and would wait for ever.
const bodyTime = 30 * time.Second

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
