package gateway

import (
	"io"
	"sync"
	"time"
)

const (
	batchTime = 10 * time.Millisecond // how late a line is, at most
	batchSize = 32 << 10              // bytes that are written at once, or a little more
)

// batch writes lines together, since each write costs more than the line. It is for the access log: when the process is
// killed, the lines of the last 10 ms are lost with the requests under way.
type batch struct {
	w io.Writer

	mu    sync.Mutex
	lines []byte
	timer *time.Timer // nil: none to come
}

// Write implements [io.Writer] for whole lines.
func (b *batch) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, line...)
	switch {
	case len(b.lines) >= batchSize:
		if err := b.flush(); err != nil {
			return 0, err
		}
	case b.timer == nil:
		b.timer = time.AfterFunc(batchTime, func() { _ = b.Close() }) // who has logged has gone on
	}
	return len(line), nil
}

// Close writes what is there. There may be more lines afterwards.
func (b *batch) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.flush()
}

func (b *batch) flush() error {
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	if len(b.lines) == 0 {
		return nil
	}
	_, err := b.w.Write(b.lines)
	b.lines = b.lines[:0]
	return err
}
