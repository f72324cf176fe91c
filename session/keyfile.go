package session

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	lookEvery  = 2 * time.Second // at the key file
	lookPause  = time.Second     // at least, between looks that requests cause
	maxKeyFile = 1 << 20         // bytes

	lookTimeout = 500 * time.Millisecond // for a file system that hangs: requests wait for a look
)

var errHangs = errors.New("the file system does not answer")

// keyFile is where the keys of a ring come from.
type keyFile struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	state   string       // what the last look found: a hash of the content, or the error
	pending chan content // of a read that hangs; nil for none
}

type content struct {
	text []byte
	err  error
}

// OpenKeyRing reads a key file; [ParseKeyRing] says what is in it. The file is looked at again by Run, by Reload, and
// when a record is sealed under a key that the ring lacks; so keys are rotated without a restart: append the new key on
// every replica, then move it to the front on every replica, and remove the old one when its last session is over.
//
// A file that cannot be used leaves the keys from before in use, and is logged once. So does one without the key that
// sealed until then, or with another key under the id of one from before: it is a mistake more often than an intention,
// and would sign people out.
//
// What is not a regular file, such as a pipe, is read once.
func OpenKeyRing(path string, log *slog.Logger) (*KeyRing, error) {
	f := &keyFile{path: path, log: log}
	text, err := f.read()
	if err != nil {
		return nil, err
	}
	ring, err := ParseKeyRing(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		ring.file = f
		f.state = stateOf(text)
	}
	return ring, nil
}

// Run looks at the key file every few seconds until ctx ends; its error is that of ctx.
func (r *KeyRing) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.look(0)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Reload looks at the key file now, for somebody who wants to hear of it: what comes of it is logged even if nothing has
// changed.
func (r *KeyRing) Reload() {
	if r.file == nil {
		return
	}
	r.file.mu.Lock()
	r.file.state = ""
	r.file.mu.Unlock()
	r.look(0)
}

// look makes the keys of the file those of the ring, if the file has changed and is good. It does nothing when the last
// look was less than pause ago.
func (r *KeyRing) look(pause time.Duration) {
	f := r.file
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < pause {
		return
	}
	text, err := f.readInTime()
	f.looked = time.Now()
	state := stateOf(text)
	if err != nil {
		state = err.Error()
	}
	if state == f.state {
		return
	}
	f.state = state
	var keys []ringKey
	if err == nil {
		keys, err = parseKeys(text)
	}
	if err == nil {
		err = refuseLoss(*r.keys.Load(), keys)
	}
	if err != nil {
		f.log.Error("the session keys cannot be read again, those from before stay in use", "file", f.path, "err", err)
		return
	}
	r.keys.Store(&keys)
	ids := make([]string, len(keys))
	for i, key := range keys {
		ids[i] = key.id
	}
	f.log.Info("the session keys were read again", "file", f.path, "seals", ids[0], "keys", ids)
}

// refuseLoss says why keys must not take the place of those in use.
func refuseLoss(inUse, keys []ringKey) error {
	for _, old := range inUse {
		key, ok := findKey(keys, old.id)
		if ok && !key.bytes.Equal(old.bytes) {
			return fmt.Errorf("line %d: the key id is that of another key in use; give each key its own", key.line)
		}
	}
	if _, ok := findKey(keys, inUse[0].id); !ok {
		return fmt.Errorf("key %s is missing, and it is the one that seals; put it behind the new one first, and remove it "+
			"when the new one seals", inUse[0].id)
	}
	return nil
}

// readInTime is read, but waits no longer than lookTimeout, and not again for a read that hangs.
func (f *keyFile) readInTime() ([]byte, error) {
	wait := time.Duration(0)
	if f.pending == nil {
		wait = lookTimeout
		f.pending = make(chan content, 1)
		go func(done chan<- content) {
			text, err := f.read()
			done <- content{text, err}
		}(f.pending)
	}
	select {
	case got := <-f.pending:
		f.pending = nil
		return got.text, got.err
	case <-time.After(wait):
		return nil, errHangs
	}
}

// read returns the content. It is read even if the file looks as it did: there are file systems whose times are coarse,
// and a file of few lines costs nothing.
func (f *keyFile) read() ([]byte, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err == nil && len(text) > maxKeyFile {
		err = fmt.Errorf("%s: it is longer than %d bytes", f.path, maxKeyFile)
	}
	return text, err
}

// stateOf tells contents apart without keeping them.
func stateOf(text []byte) string {
	sum := sha256.Sum256(text)
	return string(sum[:])
}
