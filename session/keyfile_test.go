package session_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
)

// keyOf is a line of a key file whose key id is of that year.
func keyOf(year int) string {
	return session.GenerateKey(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC))
}

// keyFile is the key file of one replica, its ring and what was logged about it.
type keyFile struct {
	t    *testing.T
	path string
	ring *session.KeyRing
	log  bytes.Buffer
}

func newKeyFile(t *testing.T, lines ...string) *keyFile {
	t.Helper()
	f := &keyFile{t: t, path: filepath.Join(t.TempDir(), "keys")}
	f.put(lines...)
	var err error
	f.ring, err = session.OpenKeyRing(f.path, slog.New(slog.NewTextHandler(&f.log, nil)))
	must(t, err)
	return f
}

func (f *keyFile) put(lines ...string) {
	f.t.Helper()
	must(f.t, os.WriteFile(f.path, []byte(strings.Join(lines, "\n")), 0o600))
}

// seals reports whether the ring seals with the key of this line.
func (f *keyFile) seals(line string) bool {
	f.t.Helper()
	ring, err := session.ParseKeyRing([]byte(line))
	must(f.t, err)
	return bytes.Equal(ring.Derive("test", 32)[0], f.ring.Derive("test", 32)[0])
}

// TestRotation is CK-17 with two replicas, neither of which is restarted: whichever of them is a step ahead, sessions
// go on, until the key that sealed them is removed.
func TestRotation(t *testing.T) {
	everywhere(t, func(t *testing.T, open func() session.Store) {
		older, newer := keyOf(2025), keyOf(2026)
		c := newCluster(t, open, 0)
		files := []*keyFile{newKeyFile(t, older), newKeyFile(t, older)}
		for _, f := range files {
			c.store = open()
			c.managers = append(c.managers, session.NewManager(c.store, f.ring, c.options()))
		}
		var sessions []*session.Session
		survive := func(step string) {
			t.Helper()
			c.managers[0], c.managers[1] = c.managers[1], c.managers[0] // logins at each of the two
			sessions = append(sessions, c.login())
			for _, m := range c.managers {
				for i, s := range sessions {
					if _, err := m.Open(t.Context(), s.Ticket()); err != nil {
						t.Errorf("%s: session %d: %v", step, i, err)
					}
				}
			}
		}
		survive("before")
		survive("before")
		for _, step := range []struct {
			name  string
			lines []string
		}{{"append", []string{older, newer}}, {"move", []string{newer, older}}} {
			for _, f := range files {
				f.put(step.lines...)
				f.ring.Reload()
				survive(step.name)
				survive(step.name)
			}
		}
		for _, f := range files {
			f.put(newer)
			f.ring.Reload()
			if !f.seals(newer) {
				t.Error("the old key still seals")
			}
		}
		_, err := c.managers[0].Open(t.Context(), sessions[0].Ticket())
		wantError(t, err, session.ErrEnded)
		_, err = c.managers[1].Open(t.Context(), sessions[0].Ticket())
		wantError(t, err, session.ErrEnded)
		_, err = c.managers[1].Open(t.Context(), sessions[len(sessions)-1].Ticket())
		must(t, err)
		c.login()
		ended := 0
		for _, kind := range c.kinds() {
			if strings.HasPrefix(kind, "ended") {
				ended++
				if kind != "ended key_retired" {
					t.Error(kind)
				}
			}
		}
		if ended != 1 {
			t.Errorf("%d sessions ended, want the one that was asked for", ended)
		}
	})
}

// TestRunFollowsKeyFile: a change is seen within seconds.
func TestRunFollowsKeyFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		older, newer := keyOf(2025), keyOf(2026)
		f := newKeyFile(t, older)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.ring.Run(ctx) }()
		f.put(newer, older)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if !f.seals(newer) {
			t.Error("the new key does not seal")
		}
		next := filepath.Join(t.TempDir(), "next") // as an orchestrator replaces a mounted secret
		must(t, os.WriteFile(next, []byte(newer), 0o600))
		must(t, os.Rename(next, f.path))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if n := len(f.ring.Derive("test", 32)); n != 1 {
			t.Errorf("%d keys", n)
		}
		stop()
		wantError(t, <-ended, context.Canceled)
		if n := strings.Count(f.log.String(), "\n"); n != 2 {
			t.Errorf("%d lines in the log, want one for each change:\n%s", n, f.log.String())
		}
	})
}

// TestKeyFileRefused: the keys from before stay in use, and the log says why, once for each change, without a key.
func TestKeyFileRefused(t *testing.T) {
	first, second := keyOf(2025), keyOf(2026)
	id, key, _ := strings.Cut(first, " ")
	for name, test := range map[string]struct {
		spoil func(f *keyFile)
		want  string
	}{
		"gone":      {func(f *keyFile) { must(t, os.Remove(f.path)) }, "no such file or directory"},
		"a folder":  {func(f *keyFile) { must(t, os.Remove(f.path)); must(t, os.Mkdir(f.path, 0o700)) }, "is a directory"},
		"malformed": {func(f *keyFile) { f.put(first, "", second[:len(second)-3]) }, "line 3: the key has 30 bytes"},
		"empty":     {func(f *keyFile) { f.put("") }, "there is no key"},
		"endless":   {func(f *keyFile) { f.put(first, strings.Repeat("\n", 1<<20)) }, "it is longer than 1048576 bytes"},
		"without the key that seals": {
			func(f *keyFile) { f.put(second, keyOf(2024)) }, "key " + id + " is missing, and it is the one that seals",
		},
		"with another key under its id": {
			func(f *keyFile) { f.put(second, id+keyOf(2026)[len(id):]) }, "line 2: the key id is that of another key in use",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newKeyFile(t, first)
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				go func() { _ = f.ring.Run(ctx) }()
				test.spoil(f)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if !f.seals(first) || len(f.ring.Derive("test", 32)) != 1 {
					t.Error("the keys were replaced")
				}
				log := f.log.String()
				if strings.Count(log, "\n") != 1 || !strings.Contains(log, "level=ERROR") || !strings.Contains(log, test.want) {
					t.Errorf("the log is\n%s\nwant one error with %q", log, test.want)
				}
				f.log.Reset()
				_ = os.Remove(f.path)
				f.put(second, first)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if !f.seals(second) {
					t.Error("the corrected file was not read")
				}
				ids := second[:len(id)] + " " + id
				if log += f.log.String(); !strings.Contains(log, "seals="+second[:len(id)]+` keys="[`+ids+`]"`) {
					t.Errorf("no ids in the log:\n%s", log)
				}
				if strings.Contains(log, key[:8]) || strings.Contains(log, second[len(id)+1:][:8]) {
					t.Errorf("a key is in the log:\n%s", log)
				}
			})
		})
	}
}

// TestUnknownKeyLooks: a session that another replica has sealed with a key that is in our file by now opens at once,
// without Run. The file is looked at once a second at most.
func TestUnknownKeyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		older, newer := keyOf(2025), keyOf(2026)
		store := memstore.New()
		c := newCluster(t, func() session.Store { return store }, 0)
		ahead, err := session.ParseKeyRing([]byte(newer))
		must(t, err)
		c.managers = []*session.Manager{session.NewManager(store, ahead, c.options())}
		s := c.login()

		f := newKeyFile(t, older)
		m := session.NewManager(store, f.ring, c.options())
		_, err = m.Open(t.Context(), s.Ticket())
		wantError(t, err, session.ErrStoreUnavailable)
		f.put(older, newer)
		time.Sleep(time.Second - 1)
		_, err = m.Open(t.Context(), s.Ticket())
		wantError(t, err, session.ErrStoreUnavailable)
		time.Sleep(time.Nanosecond)
		_, err = m.Open(t.Context(), s.Ticket())
		must(t, err)
		if !f.seals(older) {
			t.Error("the appended key seals")
		}
		c.wantEvents("login")
	})
}

// TestHalfWrittenFileEndsNothing: a file without a key, which was being written when it was looked at, is looked at again
// before a session ends for want of that key.
func TestHalfWrittenFileEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		older, newer := keyOf(2025), keyOf(2026)
		store := memstore.New()
		c := newCluster(t, func() session.Store { return store }, 0)
		f := newKeyFile(t, older, newer)
		m := session.NewManager(store, f.ring, c.options())
		c.managers = []*session.Manager{m}
		s := c.login()
		f.put(newer, older)
		f.ring.Reload()
		f.put(newer)
		f.ring.Reload()
		if len(f.ring.Derive("test", 32)) != 1 {
			t.Fatal("the key was not removed")
		}
		f.put(newer, older)
		_, err := m.Open(t.Context(), s.Ticket())
		must(t, err)
		c.wantEvents("login")
	})
}

// TestKeyFileHangs: nobody waits for ever for a file system that does not answer, here a pipe that nobody writes to,
// and the keys are followed again when it does.
func TestKeyFileHangs(t *testing.T) {
	older, newer := keyOf(2025), keyOf(2026)
	store := memstore.New()
	c := newCluster(t, func() session.Store { return store }, 0)
	ahead, err := session.ParseKeyRing([]byte(newer))
	must(t, err)
	c.managers = []*session.Manager{session.NewManager(store, ahead, c.options())}
	s := c.login()
	f := newKeyFile(t, older)
	must(t, os.Remove(f.path))
	must(t, syscall.Mkfifo(f.path, 0o600))
	opened := make(chan error, 1)
	go func() {
		m := session.NewManager(store, f.ring, c.options())
		for range 3 {
			_, err := m.Open(t.Context(), s.Ticket())
			opened <- err
			f.ring.Reload()
		}
		close(opened)
	}()
	for range 4 {
		select {
		case err, ok := <-opened:
			if ok {
				wantError(t, err, session.ErrStoreUnavailable)
			}
		case <-time.After(5 * time.Second):
			t.Error("a request waits for the file")
		}
	}
	pipe, err := os.OpenFile(f.path, os.O_WRONLY, 0) // waits for the one that reads
	must(t, err)
	_, err = pipe.WriteString(newer + "\n" + older)
	must(t, err)
	must(t, os.Remove(f.path))
	f.put(newer, older)
	must(t, pipe.Close())
	for deadline := time.Now().Add(5 * time.Second); !f.seals(newer); f.ring.Reload() {
		if time.Now().After(deadline) {
			t.Fatal("the file is not read any more")
		}
	}
	if log := f.log.String(); !strings.Contains(log, "the file system does not answer") {
		t.Errorf("the log is\n%s", log)
	}
}

// TestReloadIsHeard: whoever asks for it hears what is in use, or that it is still bad.
func TestReloadIsHeard(t *testing.T) {
	f := newKeyFile(t, oneKey)
	f.ring.Reload()
	f.ring.Reload()
	f.put("")
	f.ring.Reload()
	f.ring.Reload()
	if log := f.log.String(); strings.Count(log, "level=INFO") != 2 || strings.Count(log, "level=ERROR") != 2 {
		t.Errorf("the log is\n%s", log)
	}
	session.NewKeyRing().Reload() // nothing to read
}

// TestKeysFromPipe: tools for secrets hand them over so. A second read would wait for ever.
func TestKeysFromPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	must(t, syscall.Mkfifo(path, 0o600))
	go func() { _ = os.WriteFile(path, []byte(oneKey), 0o600) }()
	ring, err := session.OpenKeyRing(path, slog.New(slog.DiscardHandler))
	must(t, err)
	ring.Reload()
	if len(ring.Derive("test", 32)) != 1 {
		t.Error("no key")
	}
}

// TestRotationUnderLoad is for the race detector: keys change while sessions are sealed and opened.
func TestRotationUnderLoad(t *testing.T) {
	older, newer := keyOf(2025), keyOf(2026)
	f := newKeyFile(t, older)
	store := memstore.New()
	c := newCluster(t, func() session.Store { return store }, 0)
	c.managers = []*session.Manager{session.NewManager(store, f.ring, c.options())}
	done := make(chan struct{})
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				s, err := c.managers[0].Create(t.Context(), session.Login{Tokens: c.op.grant()})
				if err == nil {
					_, err = c.managers[0].Open(t.Context(), s.Ticket())
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 20 {
		for _, lines := range [][]string{{older, newer}, {newer, older}, {older, newer}} {
			f.put(lines...)
			f.ring.Reload()
		}
	}
	close(done)
	work.Wait()
}
