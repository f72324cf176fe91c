package sessiontest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/session"
)

var terms = session.Terms{Keep: time.Hour, KeepActivity: time.Hour, Due: start.Add(time.Hour)}

// start is in whole milliseconds, which is what a store keeps.
var start = time.Date(2026, time.November, 22, 5, 30, 0, 0, time.UTC)

// Run runs every test of the contract, each on a new and empty store.
func Run(t *testing.T, newStore func(t *testing.T) session.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, store session.Store)
	}{
		{"a record comes back as it was", createLoad},
		{"an id is used once", createTwice},
		{"update moves one version on", update},
		{"of parallel updates one wins", updateRace},
		{"an update does not bring a record back (RFR-24)", updateAfterDelete},
		{"delete and update race", deleteUpdateRace},
		{"of parallel deletes one gets the record", deleteRace},
		{"a repeated create does not bring a record back", createAfterDelete},
		{"a tombstone keeps the first reason", tombstone},
		{"activity", touch},
		{"a lease excludes (RFR-23)", lease},
		{"of parallel owners one gets the lease (RFR-20)", leaseRace},
		{"a lease runs out", leaseRunsOut},
		{"a lease rests", leaseRests},
		{"watchers are told", watch},
		{"a name is spent once (FLOW-06)", consumeRace},
		{"a spent name is forgotten in time", consumeAgain},
		{"a spent name is seen everywhere (BCL-11)", consumed},
		{"indexes find sessions (BCL-19)", find},
		{"index entries run out (BCL-19)", indexesRunOut},
		{"many records at once", loadAll},
		{"a scan finds what stays", scan},
		{"a scan while sessions come and go", scanRace},
		{"a scan takes no foreign cursor", scanCursor},
		{"a logout is remembered (BCL-25)", bury},
		{"of parallel logouts the latest stays", buryRace},
		{"a login and a logout see each other (BCL-25)", loginLogoutRace},
		{"due sessions", due},
		{"what is past its time is gone", expiry},
		{"ping", ping},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newStore(t)) })
	}
}

func newRecord() session.Record {
	return session.Record{
		ID: session.NewTicket().ID(), Version: 1, Sealed: []byte("\x00sealed\xff\r\n"),
		Provider: "default", Issuer: "https://op.example.com", Subject: "alice " + rand.Text(), SID: rand.Text(),
		UserAgent: "Mozilla/5.0 (\"quoted\")", CreatedAt: start, ExpiresAt: start.Add(time.Hour),
	}
}

func next(rec session.Record, sealed string) session.Record {
	rec.Version++
	rec.Sealed = []byte(sealed)
	return rec
}

func mustCreate(t *testing.T, store session.Store) session.Record {
	t.Helper()
	rec := newRecord()
	must(t, store.Create(t.Context(), rec, terms))
	return rec
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("error %v, want %v", got, want)
	}
}

func wantGone(t *testing.T, store session.Store, id session.ID, want session.Reason) {
	t.Helper()
	_, _, err := store.Load(t.Context(), id)
	wantError(t, err, session.ErrNotFound)
	if gone, ok := errors.AsType[*session.Gone](err); !ok || gone.Reason != want {
		t.Fatalf("error %v, want a Gone with reason %q", err, want)
	}
}

// parallel calls f n times at once and returns how often each error came.
func parallel(n int, f func(i int) error) map[error]int {
	var mu sync.Mutex
	var all sync.WaitGroup
	count := map[error]int{}
	begin := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-begin
			err := f(i)
			mu.Lock()
			defer mu.Unlock()
			count[err]++
		})
	}
	close(begin)
	all.Wait()
	return count
}

func wantCount(t *testing.T, got, want map[error]int) {
	t.Helper()
	if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); diff != "" {
		t.Fatalf("outcomes (-want +got):\n%s", diff)
	}
}

func createLoad(t *testing.T, store session.Store) {
	rec := mustCreate(t, store)
	got, seen, err := store.Load(t.Context(), rec.ID)
	must(t, err)
	if diff := cmp.Diff(rec, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if !seen.Equal(rec.CreatedAt) {
		t.Errorf("last activity %v, want %v", seen, rec.CreatedAt)
	}
	wantGone(t, store, session.NewTicket().ID(), "")
}

func createTwice(t *testing.T, store session.Store) {
	rec := mustCreate(t, store)
	must(t, store.Create(t.Context(), rec, terms)) // a repetition
	rec.Sealed = []byte("other")
	wantError(t, store.Create(t.Context(), rec, terms), session.ErrConflict)
}

func update(t *testing.T, store session.Store) {
	rec := mustCreate(t, store)
	second := next(rec, "second")
	wantError(t, store.Update(t.Context(), next(second, "third")), session.ErrConflict)
	must(t, store.Update(t.Context(), second))
	must(t, store.Update(t.Context(), second)) // a repetition
	wantError(t, store.Update(t.Context(), next(rec, "stale")), session.ErrConflict)
	got, _, err := store.Load(t.Context(), rec.ID)
	must(t, err)
	if diff := cmp.Diff(second, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func updateRace(t *testing.T, store session.Store) {
	rec := mustCreate(t, store)
	var winner []byte
	var mu sync.Mutex
	got := parallel(20, func(i int) error {
		mine := next(rec, fmt.Sprint("writer ", i))
		err := store.Update(context.Background(), mine)
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			winner = mine.Sealed
		}
		return err
	})
	wantCount(t, got, map[error]int{nil: 1, session.ErrConflict: 19})
	stored, _, err := store.Load(t.Context(), rec.ID)
	must(t, err)
	if !bytes.Equal(stored.Sealed, winner) || stored.Version != 2 {
		t.Errorf("stored %q in version %d, the winner wrote %q", stored.Sealed, stored.Version, winner)
	}
}

func updateAfterDelete(t *testing.T, store session.Store) {
	rec := mustCreate(t, store)
	_, err := store.Delete(t.Context(), rec.ID, session.ReasonLogout)
	must(t, err)
	wantError(t, store.Update(t.Context(), next(rec, "late")), session.ErrNotFound)
	wantGone(t, store, rec.ID, session.ReasonLogout)
}

// deleteUpdateRace: whatever the order, the session is gone, and who deletes gets the last version that was written.
func deleteUpdateRace(t *testing.T, store session.Store) {
	for range 20 {
		rec := mustCreate(t, store)
		var deleted session.Record
		var updated error
		parallel(2, func(i int) (err error) {
			if i == 0 {
				deleted, err = store.Delete(context.Background(), rec.ID, session.ReasonLogout)
				return err
			}
			updated = store.Update(context.Background(), next(rec, "new"))
			return nil
		})
		wantGone(t, store, rec.ID, session.ReasonLogout)
		want := rec
		if updated == nil {
			want = next(rec, "new")
		} else {
			wantError(t, updated, session.ErrNotFound)
		}
		if diff := cmp.Diff(want, deleted); diff != "" {
			t.Fatalf("deleted record (-want +got):\n%s", diff)
		}
	}
}

func deleteRace(t *testing.T, store session.Store) {
	rec := mustCreate(t, store)
	got := parallel(20, func(int) error {
		_, err := store.Delete(context.Background(), rec.ID, session.ReasonLogout)
		return err
	})
	wantCount(t, got, map[error]int{nil: 1, session.ErrNotFound: 19})
}

// createAfterDelete: the answer to the first Create was lost, and the session has ended since.
func createAfterDelete(t *testing.T, store session.Store) {
	rec := newRecord()
	if err := store.Create(t.Context(), rec, terms); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Delete(t.Context(), rec.ID, session.ReasonLogout); err != nil {
		t.Fatal(err)
	}
	if err := store.Create(t.Context(), rec, terms); !errors.Is(err, session.ErrConflict) {
		t.Errorf("error %v, want %v", err, session.ErrConflict)
	}
	_, _, err := store.Load(t.Context(), rec.ID)
	if gone, ok := errors.AsType[*session.Gone](err); !ok || gone.Reason != session.ReasonLogout {
		t.Errorf("the session is back: %v", err)
	}
}

func tombstone(t *testing.T, store session.Store) {
	rec := mustCreate(t, store)
	_, err := store.Delete(t.Context(), rec.ID, session.ReasonIdle)
	must(t, err)
	_, err = store.Delete(t.Context(), rec.ID, session.ReasonLogout)
	wantError(t, err, session.ErrNotFound)
	wantGone(t, store, rec.ID, session.ReasonIdle)

	unknown := session.NewTicket().ID()
	_, err = store.Delete(t.Context(), unknown, session.ReasonExpired)
	wantError(t, err, session.ErrNotFound)
	wantGone(t, store, unknown, session.ReasonExpired)
}

func touch(t *testing.T, store session.Store) {
	rec := mustCreate(t, store)
	later := start.Add(time.Minute)
	must(t, store.Touch(t.Context(), rec.ID, later, time.Hour))
	got, seen, err := store.Load(t.Context(), rec.ID)
	must(t, err)
	if !seen.Equal(later) {
		t.Errorf("last activity %v, want %v", seen, later)
	}
	if got.Version != 1 {
		t.Errorf("activity moved the version to %d", got.Version)
	}
	must(t, store.Update(t.Context(), next(rec, "second")))
	if _, seen, _ := store.Load(t.Context(), rec.ID); !seen.Equal(later) {
		t.Errorf("an update moved the last activity to %v (RFR-33)", seen)
	}
	_, err = store.Delete(t.Context(), rec.ID, session.ReasonLogout)
	must(t, err)
	must(t, store.Touch(t.Context(), rec.ID, later, time.Hour))
	wantGone(t, store, rec.ID, session.ReasonLogout)
}

func loadAll(t *testing.T, store session.Store) {
	first, second, gone := mustCreate(t, store), mustCreate(t, store), mustCreate(t, store)
	later := start.Add(time.Minute)
	must(t, store.Touch(t.Context(), second.ID, later, time.Hour))
	_, err := store.Delete(t.Context(), gone.ID, session.ReasonLogout)
	must(t, err)
	got, err := store.LoadAll(t.Context(), []session.ID{gone.ID, second.ID, session.NewTicket().ID(), first.ID})
	must(t, err)
	want := []session.Found{{Record: second, Seen: later}, {Record: first, Seen: start}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	if got, err := store.LoadAll(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("of none: %v, %v", got, err)
	}
	record, seen, err := store.Load(t.Context(), second.ID)
	must(t, err)
	if diff := cmp.Diff(want[0], session.Found{Record: record, Seen: seen}); diff != "" {
		t.Errorf("Load finds something else (-LoadAll +Load):\n%s", diff)
	}
}

func due(t *testing.T, store session.Store) {
	var recs []session.Record
	for i := range 3 {
		rec := newRecord()
		recs = append(recs, rec)
		at := terms
		at.Due = start.Add(time.Duration(i) * time.Minute)
		must(t, store.Create(t.Context(), rec, at))
	}
	want := func(now time.Time, limit int, ids ...session.ID) {
		t.Helper()
		got, err := store.Due(t.Context(), now, limit)
		must(t, err)
		if !slices.Equal(got, ids) {
			t.Errorf("due %v, want %v", got, ids)
		}
	}
	want(start.Add(-time.Second), 10)
	want(start.Add(time.Minute), 10, recs[0].ID, recs[1].ID)
	want(start.Add(time.Hour), 2, recs[0].ID, recs[1].ID)
	must(t, store.Schedule(t.Context(), recs[0].ID, start.Add(time.Hour)))
	want(start.Add(30*time.Minute), 10, recs[1].ID, recs[2].ID)
	_, err := store.Delete(t.Context(), recs[1].ID, session.ReasonIdle)
	must(t, err)
	must(t, store.Schedule(t.Context(), recs[1].ID, start))
	want(start.Add(time.Hour), 10, recs[2].ID, recs[0].ID)
}

func expiry(t *testing.T, store session.Store) {
	rec := newRecord()
	short := terms
	short.Keep, short.KeepActivity = 300*time.Millisecond, 100*time.Millisecond
	must(t, store.Create(t.Context(), rec, short))
	eventually(t, func() bool { // the activity goes first
		_, seen, err := store.Load(t.Context(), rec.ID)
		return err != nil || seen.IsZero()
	})
	eventually(t, func() bool {
		_, _, err := store.Load(t.Context(), rec.ID)
		return errors.Is(err, session.ErrNotFound)
	})
	wantGone(t, store, rec.ID, "")
	wantError(t, store.Update(t.Context(), next(rec, "late")), session.ErrNotFound)
}

func ping(t *testing.T, store session.Store) { must(t, store.Ping(t.Context())) }

// eventually polls for something that a clock brings about.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.After(5 * time.Second)
	for !condition() {
		select {
		case <-deadline:
			t.Fatal("it did not happen in 5 seconds")
		case <-time.After(5 * time.Millisecond):
		}
	}
}
