package proxy

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// watched records what a watch does, in a synctest bubble.
type watched struct {
	watch
	began  time.Time
	why    error
	after  time.Duration // from began to the end
	broken bool          // writing to the browser was broken off
}

func newWatched(rt Route) *watched {
	w := &watched{began: time.Now()}
	w.begin(&rt, func(why error) { w.why, w.after = why, time.Since(w.began) }, func() { w.broken = true })
	return w
}

// TestWatch is PX-21 and PX-34: what ends an exchange, and when.
func TestWatch(t *testing.T) {
	const s, m, h = time.Second, time.Minute, time.Hour
	for name, test := range map[string]struct {
		route Route
		play  func(w *watched)
		why   error
		after time.Duration // at which it has ended
		late  time.Duration // or this much later
	}{
		"no header": {
			route: Route{Timeout: 30 * s},
			play:  func(*watched) {},
			why:   errSilent, after: 30 * s,
		},
		"no header after an upload": {
			route: Route{Timeout: 30 * s},
			play: func(w *watched) {
				for range 100 {
					time.Sleep(29 * s)
					w.move()
				}
			},
			why: errSilent, after: 2900*s + 30*s,
		},
		"no header of a second answer": {
			route: Route{Timeout: 30 * s},
			play: func(w *watched) {
				time.Sleep(10 * s)
				w.stop()
				time.Sleep(h)
				w.begin(w.route, w.end, w.breakOff)
			},
			why: errSilent, after: h + 40*s,
		},
		"no limit for the header": {
			play: func(*watched) { time.Sleep(24 * h) },
		},
		"idle from the header on": {
			route: Route{Timeout: 30 * s, IdleTimeout: 10 * m},
			play:  func(w *watched) { time.Sleep(5 * s); w.answer() },
			why:   errIdle, after: 10*m + 5*s,
		},
		"idle after some time": {
			route: Route{Timeout: 30 * s, IdleTimeout: 10 * m},
			play: func(w *watched) {
				w.answer()
				for range 100 {
					time.Sleep(9 * m)
					w.move()
				}
			},
			why: errIdle, after: 910 * m,
		},
		"idle for less than the wait for a header": {
			route: Route{Timeout: 30 * s, IdleTimeout: 5 * s},
			play:  func(w *watched) { time.Sleep(s); w.answer() },
			why:   errIdle, after: 6 * s,
		},
		"idle without a limit for the header": {
			route: Route{IdleTimeout: 5 * s},
			play:  func(w *watched) { time.Sleep(h); w.answer() },
			why:   errIdle, after: h + 5*s,
		},
		"no limit": {
			route: Route{Timeout: 30 * s},
			play:  func(w *watched) { w.answer(); time.Sleep(24 * h) },
		},
		"too long": {
			route: Route{Timeout: 30 * s, IdleTimeout: 10 * m, MaxDuration: h},
			play: func(w *watched) {
				time.Sleep(10 * s)
				w.answer()
				for range 100 {
					time.Sleep(m)
					w.move()
				}
			},
			why: errTooLong, after: h + 10*s,
		},
		"a browser that takes nothing": {
			route: Route{Timeout: 30 * s, IdleTimeout: 10 * m},
			play: func(w *watched) {
				w.answer()
				time.Sleep(h / 10)
				w.move()
				w.offer()
			},
			why: errStalled, after: h/10 + stallTime, late: stallTime,
		},
		"a browser that takes nothing, and no limit": {
			play: func(w *watched) { w.answer(); time.Sleep(2 * h); w.offer() },
			why:  errStalled, after: 2*h + stallTime, late: stallTime,
		},
		"a slow browser": {
			route: Route{Timeout: 30 * s, IdleTimeout: 10 * m},
			play: func(w *watched) {
				w.answer()
				for range 1000 {
					w.offer()
					time.Sleep(59 * s)
					w.move()
				}
				w.stop()
			},
		},
		"over in time": {
			route: Route{Timeout: 30 * s, IdleTimeout: 10 * m, MaxDuration: h},
			play:  func(w *watched) { w.answer(); time.Sleep(m); w.stop() },
		},
		"an answer too late": {
			route: Route{Timeout: 30 * s, IdleTimeout: m},
			play:  func(w *watched) { time.Sleep(31 * s); w.answer(); time.Sleep(h) },
			why:   errSilent, after: 30 * s,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWatched(test.route)
				test.play(w)
				time.Sleep(24 * time.Hour)
				synctest.Wait()
				w.stop()
				if !errors.Is(w.why, test.why) || w.after < test.after || w.after > test.after+test.late {
					t.Errorf("ended after %v: %v, want %v: %v", w.after, w.why, test.after, test.why)
				}
				if broken := test.why != nil && test.why != errSilent; w.broken != broken { // or nobody could be told
					t.Errorf("writing broken off: %v, want %v", w.broken, broken)
				}
			})
		})
	}
}
