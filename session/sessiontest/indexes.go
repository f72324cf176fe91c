package sessiontest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/session"
)

// The part of the suite about what logouts and lists need: indexes, and what is remembered of a logout.

func find(t *testing.T, store session.Store) {
	first, second := newRecord(), newRecord()
	second.Subject = first.Subject
	must(t, store.Create(t.Context(), first, terms))
	must(t, store.Create(t.Context(), second, terms))
	want := func(index session.Index, ids ...session.ID) {
		t.Helper()
		got, err := store.Find(t.Context(), index)
		must(t, err)
		slices.Sort(got)
		slices.Sort(ids)
		if !slices.Equal(got, ids) {
			t.Errorf("found %v, want %v", got, ids)
		}
	}
	subject := session.SubjectIndex(first.Issuer, first.Subject)
	want(subject, first.ID, second.ID)
	want(session.SIDIndex(first.Issuer, first.SID), first.ID)
	want(session.SubjectIndex("https://other.example.com", first.Subject))
	must(t, store.Update(t.Context(), next(first, "second")))
	want(subject, first.ID, second.ID)
	_, err := store.Delete(t.Context(), first.ID, session.ReasonLogout)
	must(t, err)
	want(subject, second.ID)
	want(session.SIDIndex(first.Issuer, first.SID))
}

// indexesRunOut: an entry goes with its record, at the latest when all of its index do.
func indexesRunOut(t *testing.T, store session.Store) {
	rec := newRecord()
	short := terms
	short.Keep = 100 * time.Millisecond
	must(t, store.Create(t.Context(), rec, short))
	for _, index := range rec.Indexes() {
		eventually(t, func() bool {
			ids, err := store.Find(t.Context(), index)
			must(t, err)
			return len(ids) == 0
		})
	}
}

// many is more than Redis returns at once from a small set, whatever the limit (zset-max-listpack-entries).
const many = 300

// createMany makes so many sessions of one user, each in a session at the OP of its own.
func createMany(t *testing.T, store session.Store, n int) (of session.Index, ids []session.ID) {
	t.Helper()
	user := rand.Text()
	recs := make([]session.Record, n)
	for i := range recs {
		recs[i] = newRecord()
		recs[i].Subject = user
		ids = append(ids, recs[i].ID)
	}
	var work sync.WaitGroup
	for batch := range slices.Chunk(recs, (n+7)/8) {
		work.Go(func() {
			for _, rec := range batch {
				if err := store.Create(t.Context(), rec, terms); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	return recs[0].Indexes()[0], ids
}

// scanAll goes through an index, calls between after each page, and returns how often each session came.
func scanAll(t *testing.T, store session.Store, index session.Index, limit int, between func(page []session.ID)) (times map[session.ID]int, pages int) {
	t.Helper()
	times = map[session.ID]int{}
	for cursor := ""; ; {
		ids, next, err := store.Scan(t.Context(), index, cursor, limit)
		must(t, err)
		for _, id := range ids {
			times[id]++
		}
		if pages++; pages > 2*many {
			t.Fatal("it does not end")
		}
		between(ids)
		if next == "" {
			return times, pages
		}
		cursor = next
	}
}

func scan(t *testing.T, store session.Store) {
	one := mustCreate(t, store)
	index, ids := createMany(t, store, many)
	nothing := func([]session.ID) {}
	for _, test := range []struct {
		index session.Index
		want  []session.ID
	}{
		{one.Indexes()[0], []session.ID{one.ID}},
		{one.Indexes()[1], []session.ID{one.ID}},
		{index, ids},
		{session.AllSessions, append(slices.Clone(ids), one.ID)},
		{session.SubjectIndex("https://other.example.com", one.Subject), nil},
	} {
		for _, limit := range []int{1, 7, 1000} {
			times, pages := scanAll(t, store, test.index, limit, nothing)
			want := map[session.ID]int{}
			for _, id := range test.want {
				want[id] = 1
			}
			if diff := cmp.Diff(want, times); diff != "" {
				t.Errorf("%q by %d (-want +got):\n%s", test.index, limit, diff)
			}
			if len(test.want) >= many && limit == 7 && (pages < many/20 || pages > many/2) {
				t.Errorf("%d sessions by 7 in %d pages", len(test.want), pages)
			}
		}
	}
}

// scanRace: what is deleted meanwhile does not hide what stays, and neither does what comes.
func scanRace(t *testing.T, store session.Store) {
	index, ids := createMany(t, store, many)
	leaving, staying := ids[:many/2], ids[many/2:]
	times, _ := scanAll(t, store, index, 20, func([]session.ID) {
		for range min(len(leaving), 20) {
			_, err := store.Delete(t.Context(), leaving[0], session.ReasonLogout)
			must(t, err)
			mustCreate(t, store)
			leaving = leaving[1:]
		}
	})
	for _, id := range staying {
		if times[id] == 0 {
			t.Errorf("%s was passed over", id)
		}
	}
}

func scanCursor(t *testing.T, store session.Store) {
	createMany(t, store, 3)
	for _, cursor := range []string{"x", "-1", "0x10", " ", "99999999999999999999999", "7 ", "\x00", "9999.id"} {
		for _, index := range []session.Index{session.AllSessions, session.SIDIndex("i", "s")} {
			_, _, err := store.Scan(t.Context(), index, cursor, 10)
			wantError(t, err, session.ErrCursor)
		}
	}
}

func bury(t *testing.T, store session.Store) {
	rec := newRecord()
	user, sid, other := rec.Indexes()[0], rec.Indexes()[1], session.Index("pair:"+rand.Text())
	want := func(times ...time.Time) {
		t.Helper()
		got, err := store.Buried(t.Context(), user, sid, other)
		must(t, err)
		if !slices.EqualFunc(got, times, time.Time.Equal) {
			t.Errorf("buried %v, want %v", got, times)
		}
	}
	none, later := time.Time{}, start.Add(1500*time.Millisecond)
	want(none, none, none)
	must(t, store.Bury(t.Context(), sid, start, time.Hour))
	want(none, start, none)
	must(t, store.Bury(t.Context(), other, later, time.Hour))
	must(t, store.Bury(t.Context(), other, start, time.Hour)) // came late
	want(none, start, later)
	must(t, store.Bury(t.Context(), sid, later, time.Hour))
	want(none, later, later)
	must(t, store.Bury(t.Context(), user, start, 100*time.Millisecond))
	must(t, store.Bury(t.Context(), other, start, 100*time.Millisecond)) // from now on
	eventually(t, func() bool {
		got, err := store.Buried(t.Context(), user, other)
		must(t, err)
		return got[0].IsZero() && got[1].IsZero()
	})
	want(none, later, none)
	if got, err := store.Buried(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("of no index: %v, %v", got, err)
	}
	// What is remembered is no session.
	ids, err := store.Find(t.Context(), sid)
	must(t, err)
	if len(ids) != 0 {
		t.Errorf("found %v", ids)
	}
}

func buryRace(t *testing.T, store session.Store) {
	index := session.SubjectIndex("i", rand.Text())
	latest := start.Add(19 * time.Second)
	parallel(20, func(i int) error {
		return store.Bury(context.Background(), index, start.Add(time.Duration(i*7%20)*time.Second), time.Hour)
	})
	got, err := store.Buried(t.Context(), index)
	must(t, err)
	if !got[0].Equal(latest) {
		t.Errorf("buried %v, want %v", got[0], latest)
	}
}

// loginLogoutRace: the login writes and then asks for logouts, the logout writes and then asks for sessions. Whatever the
// order, one of them sees the other.
func loginLogoutRace(t *testing.T, store session.Store) {
	for range 50 {
		rec := newRecord()
		index := rec.Indexes()[1]
		var told, found bool
		got := parallel(2, func(i int) error {
			if i == 0 {
				if err := store.Create(context.Background(), rec, terms); err != nil {
					return err
				}
				at, err := store.Buried(context.Background(), index)
				if err != nil {
					return fmt.Errorf("login: %w", err)
				}
				told = !at[0].IsZero()
				return nil
			}
			if err := store.Bury(context.Background(), index, start, time.Hour); err != nil {
				return err
			}
			ids, _, err := store.Scan(context.Background(), index, "", 10)
			if err != nil {
				return fmt.Errorf("logout: %w", err)
			}
			there, err := store.LoadAll(context.Background(), ids)
			found = len(there) == 1
			return err
		})
		wantCount(t, got, map[error]int{nil: 2})
		if !told && !found {
			t.Fatal("neither has seen the other")
		}
	}
}
