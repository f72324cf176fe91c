package memstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/secret"
)

// TestNothingStays: what has run out is thrown away, tombstones, leases, used names and remembered logouts too, by calls
// that are about something else.
func TestNothingStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, store := t.Context(), New()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		for i := range 1000 {
			name := fmt.Sprint(i)
			rec := session.Record{ID: session.ID(name), Version: 1, Issuer: "i", Subject: name, SID: name}
			must(store.Create(ctx, rec, session.Terms{Keep: time.Hour, KeepActivity: time.Hour, Due: time.Now()}))
			if i%2 == 0 {
				_, err := store.Delete(ctx, rec.ID, session.ReasonLogout)
				must(err)
			}
			_, err := store.Acquire(ctx, rec.ID, "owner", time.Minute)
			must(err)
			must(store.Consume(ctx, name, time.Minute))
			must(store.Bury(ctx, session.SubjectIndex("i", name), time.Now(), time.Hour))
		}
		time.Sleep(2 * time.Hour)
		for i := range 10_000 { // enough to come to every shard
			_, _, _ = store.Load(ctx, session.ID(fmt.Sprint("other ", i)))
			_, err := store.Consumed(ctx, fmt.Sprint("other ", i))
			must(err)
		}
		for i := range shards {
			if n := len(store.sessions[i].states); n > 0 {
				t.Errorf("shard %d: %d sessions", i, n)
			}
			if s := &store.names[i]; len(s.found)+len(s.buried)+len(s.spent) > 0 {
				t.Errorf("shard %d: %d indexes, %d tombstones, %d names", i, len(s.found), len(s.buried), len(s.spent))
			}
		}
		if n := store.count.Load(); n != 0 {
			t.Errorf("%d are counted", n)
		}
	})
}

// TestFull: a store that is full says so, and takes sessions again when others have ended or run out.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := New()
		store.room = 1000
		record := func(i int) session.Record {
			return session.Record{ID: session.ID(fmt.Sprint(i)), Version: 1, Issuer: "i", Subject: fmt.Sprint(i % 10)}
		}
		terms := session.Terms{Keep: time.Hour, KeepActivity: time.Hour}
		for i := range 1000 {
			if err := store.Create(t.Context(), record(i), terms); err != nil {
				t.Fatal(err)
			}
		}
		const want = "memstore: there are 1000 sessions, and no room for more; use Redis"
		if err := store.Create(t.Context(), record(-1), terms); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		if err := store.Create(t.Context(), record(7), terms); err != nil { // a repetition
			t.Error(err)
		}
		login := session.Login{Issuer: "i", Subject: "s", Tokens: session.Tokens{Access: secret.New("a"), ExpiresAt: time.Now().Add(time.Hour)}}
		m := session.NewManager(store, session.NewKeyRing(), session.Options{})
		if _, err := m.Create(t.Context(), login); !errors.Is(err, session.ErrStoreUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want ErrStoreUnavailable", err)
		}
		if _, err := store.Delete(t.Context(), "7", session.ReasonLogout); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Delete(t.Context(), "7", session.ReasonLogout); !errors.Is(err, session.ErrNotFound) {
			t.Fatal(err)
		}
		if err := store.Create(t.Context(), record(-1), terms); err != nil {
			t.Errorf("one has ended: %v", err)
		}
		if err := store.Create(t.Context(), record(-2), terms); err == nil {
			t.Error("one has ended, and two took its place")
		}
		time.Sleep(2 * time.Hour)
		for i := range 1000 {
			if err := store.Create(t.Context(), record(5000+i), terms); err != nil {
				t.Fatalf("all have run out: %v", err)
			}
		}
	})
}
