package main

import (
	"fmt"
	"os"
	"time"
)

// manner is how requests come.
type manner struct {
	name        string
	connections int // in a closed loop
	perSecond   int // in an open loop
}

var (
	saturated = manner{name: "64 connections", connections: 64}
	paced     = manner{name: "1 000 per second", perSecond: 1000}
	calm      = manner{name: "8 connections", connections: 8}
)

// manners of a payload; the rate would be too much for large ones.
func (p payload) manners() []manner {
	if p.name == "small" {
		return []manner{saturated, paced, calm}
	}
	return []manner{saturated, calm}
}

// figures are what one measurement gives.
type figures struct {
	cpu        time.Duration // of the party, per request
	redis      time.Duration // CPU of Redis, per request
	perSecond  float64
	half, most time.Duration // p50 and p99
}

const warmUp = 300 * time.Millisecond

// measure sends requests of one kind to one party for some time. Every one has to have been answered by the upstream,
// and with 200.
func (b *bench) measure(s *subject, p payload, m manner, d time.Duration) (figures, error) {
	before, err := b.meters(s)
	if err != nil {
		return figures{}, err
	}
	var f figures
	var requests int
	if m.perSecond > 0 {
		began := time.Now()
		took, err := pace(b.ctx, s, p, m.perSecond, d)
		if err != nil {
			return f, err
		}
		requests = len(took)
		f.perSecond = float64(requests) / time.Since(began).Seconds()
		f.half, f.most = took[requests/2], took[requests*99/100]
	} else {
		got, err := b.wrk(s, p, m.connections, d)
		if err != nil {
			return f, err
		}
		requests = got.Requests
		f.perSecond = float64(requests) / (time.Duration(got.Microseconds) * time.Microsecond).Seconds()
		f.half, f.most = time.Duration(got.Half)*time.Microsecond, time.Duration(got.Most)*time.Microsecond
	}
	after, err := b.meters(s)
	if err != nil {
		return f, err
	}
	if requests == 0 {
		return f, fmt.Errorf("no answer within %v", d)
	}
	// Those that wrk did not wait for at its end are work as well.
	served := after.served - before.served
	if served < requests {
		return f, fmt.Errorf("of %d requests, %d have come to the upstream", requests, served)
	}
	f.cpu = (after.party.cpu - before.party.cpu) / time.Duration(served)
	f.redis = (after.redis.cpu - before.redis.cpu) / time.Duration(served)
	for _, p := range b.running { // of which each keeps an access log
		if err := os.Truncate(p.log, 0); err != nil {
			return f, err
		}
	}
	return f, nil
}

// meters are read before and after.
type meters struct {
	party, redis usage
	served       int
}

func (b *bench) meters(s *subject) (m meters, err error) {
	if m.party, err = s.usage(); err != nil {
		return m, err
	}
	if b.redis != nil {
		if m.redis, err = b.redis.usage(); err != nil {
			return m, err
		}
	}
	m.served, err = b.served()
	return m, err
}
