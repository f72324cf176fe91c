package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// pacedConnections is how many requests may be without an answer at a time; the next wait, and their time runs.
const pacedConnections = 64

// pacer sends requests when they are due, whether or not the ones before were answered.
type pacer struct {
	address string
	request []byte
	idle    chan *pacedConn

	mu   sync.Mutex
	took []time.Duration // each from when it was due
	errs []error
}

// pacedConn is one connection, which is opened for its first request.
type pacedConn struct {
	net.Conn
	answers *bufio.Reader
}

// pace sends so many requests per second for some time, and returns how long each took, in order.
func pace(ctx context.Context, s *subject, p payload, perSecond int, d time.Duration) ([]time.Duration, error) {
	c := pacer{
		address: s.address,
		request: []byte(p.method + " " + p.path + " HTTP/1.1\r\nHost: " + s.address + "\r\n" +
			strings.Join(s.request(p), "\r\n") + "\r\n\r\n"),
		idle: make(chan *pacedConn, pacedConnections),
	}
	for range pacedConnections {
		c.idle <- &pacedConn{}
	}
	var group sync.WaitGroup
	began := time.Now()
	for i := range int(d.Seconds() * float64(perSecond)) {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Until(due)):
		}
		group.Go(func() { c.send(due) })
	}
	group.Wait()
	for range pacedConnections {
		if conn := <-c.idle; conn.Conn != nil {
			_ = conn.Close()
		}
	}
	slices.Sort(c.took)
	return c.took, errors.Join(c.errs[:min(len(c.errs), 3)]...)
}

// send sends a request over the connection that has been idle for longest.
func (c *pacer) send(due time.Time) {
	conn := <-c.idle
	err := conn.exchange(c.address, c.request)
	took := time.Since(due)
	if err != nil {
		if conn.Conn != nil {
			_ = conn.Close()
		}
		conn = &pacedConn{}
	}
	c.idle <- conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took = append(c.took, took)
	if err != nil {
		c.errs = append(c.errs, err)
	}
}

// exchange sends a request and reads its answer to the end.
func (c *pacedConn) exchange(address string, request []byte) error {
	if c.Conn == nil {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		c.Conn, c.answers = conn, bufio.NewReader(conn)
	}
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write(request); err != nil {
		return err
	}
	res, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}
