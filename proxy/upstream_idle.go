package proxy

import (
	"slices"
	"sync"
	"time"
)

// idleConns are the connections without a request, for each host at most maxIdle, each for at most idleTimeout. There
// is no goroutine for one, and a timer only while there are some.
type idleConns struct {
	mu    sync.Mutex
	conns map[string][]*upstreamConn // those used last at the end
	timer *time.Timer                // nil: there are none
}

// get takes the connection that was used last. Connections that have ended are closed on the way, and also those on
// which a byte waits: nobody has asked for it, so it must not become the answer to the next request (RFC 9112 §9.2).
func (p *idleConns) get(host string) *upstreamConn {
	for {
		c := p.pop(host)
		if c == nil {
			return nil
		}
		if c.probe.quiet() {
			c.reused = true
			return c
		}
		c.Close()
	}
}

func (p *idleConns) pop(host string) *upstreamConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	conns := p.conns[host]
	if len(conns) == 0 {
		return nil
	}
	last := len(conns) - 1
	c := conns[last]
	conns[last] = nil
	p.conns[host] = conns[:last]
	return c
}

// put keeps a connection whose exchange is over, or closes it where there are enough.
func (p *idleConns) put(c *upstreamConn) {
	if !p.keep(c) {
		c.Close()
	}
}

func (p *idleConns) keep(c *upstreamConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	conns := p.conns[c.host]
	if len(conns) >= maxIdle {
		return false
	}
	if p.conns == nil {
		p.conns = make(map[string][]*upstreamConn)
	}
	c.idleSince = time.Now()
	p.conns[c.host] = append(conns, c)
	if p.timer == nil {
		p.timer = time.AfterFunc(idleTimeout, p.sweep)
	}
	return true
}

// sweep closes the connections that have been idle for too long, and comes back when the next one will have been.
func (p *idleConns) sweep() { closeAll(p.takeOld()) }

func (p *idleConns) takeOld() (ended []*upstreamConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, next := time.Now(), time.Duration(0)
	for host, conns := range p.conns {
		old := 0
		for old < len(conns) && now.Sub(conns[old].idleSince) >= idleTimeout {
			old++
		}
		ended = append(ended, conns[:old]...)
		if conns = slices.Delete(conns, 0, old); len(conns) == 0 {
			delete(p.conns, host)
			continue
		}
		p.conns[host] = conns
		next = max(next, now.Sub(conns[0].idleSince))
	}
	if len(p.conns) == 0 {
		p.timer = nil
		return ended
	}
	p.timer.Reset(idleTimeout - next)
	return ended
}

func (p *idleConns) close() { closeAll(p.takeAll()) }

func (p *idleConns) takeAll() (ended []*upstreamConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conns := range p.conns {
		ended = append(ended, conns...)
	}
	clear(p.conns)
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	return ended
}

// closeAll closes connections, without the lock: that of TLS says so first, and waits up to five seconds to be heard.
func closeAll(conns []*upstreamConn) {
	for _, c := range conns {
		c.Close()
	}
}
