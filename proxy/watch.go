package proxy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// stallTime is how long a browser may take nothing of an answer that is there for it (PX-34), and how often an answer
// under way is looked at.
const stallTime = time.Minute

// Why an exchange was given up.
var (
	errIdle    = errors.New("nothing came from either side for idle_timeout")
	errStalled = errors.New("the browser took nothing of the answer for " + stallTime.String())
	errTooLong = errors.New("the answer went on for max_duration")
)

// watch ends an exchange in which nothing moves any more, or that lasts for too long (PX-21, PX-34). The limits are those
// of the route: Timeout while there is no header of an answer, then IdleTimeout and MaxDuration.
//
// It is one timer, which bytes going by do not touch: when it goes off, it looks when the last of them did.
type watch struct {
	route *Route
	end   context.CancelCauseFunc
	// breakOff frees a write to the browser that it does not take.
	breakOff func()
	start    time.Time
	moved    atomic.Int64 // nanoseconds from start to the last move, times two; plus one while the browser has to take it

	mu       sync.Mutex
	timer    *time.Timer   // nil: none to come
	ended    bool          // the exchange, by this
	answered time.Duration // from start to the header of the answer; 0 while there is none
}

// begin starts to wait for the header of an answer, also for another one after stop. end is called with one of the errors
// above, or with errSilent.
func (w *watch) begin(rt *Route, end context.CancelCauseFunc, breakOff func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.route, w.end, w.breakOff, w.start = rt, end, breakOff, time.Now()
	w.moved.Store(0)
	if rt.Timeout > 0 {
		w.timer = time.AfterFunc(rt.Timeout, w.look)
	}
}

// move notes that a byte has come, from whichever side, or gone.
func (w *watch) move() { w.moved.Store(int64(time.Since(w.start)) << 1) }

// offer notes that there is something for the browser to take; move notes that it has.
func (w *watch) offer() { w.moved.Store(int64(time.Since(w.start))<<1 | 1) }

// answer begins the time of the answer: its header has come.
func (w *watch) answer() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.move()
	w.answered = max(1, time.Since(w.start))
	rest, _ := w.rest()
	switch {
	case w.ended:
	case w.timer == nil:
		w.timer = time.AfterFunc(rest, w.look)
	case rest < w.route.Timeout: // else the timer goes off early enough, and for a short answer not at all
		w.timer.Reset(rest)
	}
}

// stop ends the watch. Nothing happens to the connection of the browser afterwards.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil {
		return
	}
	rest, why := w.rest()
	if rest > 0 {
		w.timer.Reset(rest)
		return
	}
	w.timer, w.ended = nil, true
	w.end(why)
	if w.answered > 0 {
		w.breakOff()
	}
}

// rest is how long there is nothing to do, at most, and what is wrong when that is no time at all.
func (w *watch) rest() (time.Duration, error) {
	now, last := time.Since(w.start), w.moved.Load()
	still := now - time.Duration(last>>1)
	if w.answered == 0 {
		return w.route.Timeout - still, errSilent
	}
	rest, why := stallTime, error(nil)
	if last&1 == 1 {
		rest, why = stallTime-still, errStalled
	}
	if limit := w.route.IdleTimeout; limit > 0 && limit-still < rest {
		rest, why = limit-still, errIdle
	}
	if limit := w.route.MaxDuration; limit > 0 && w.answered+limit-now < rest {
		rest, why = w.answered+limit-now, errTooLong
	}
	return rest, why
}
