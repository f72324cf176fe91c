package memstore_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/memstore"
	"github.com/cloakroom/cloakroom/session/sessiontest"
)

func TestStore(t *testing.T) {
	sessiontest.Run(t, func(*testing.T) session.Store { return memstore.New() })
}

// TestDeleteAfterExpiry: a record that has run out leaves no index entry behind, deleted or not.
func TestDeleteAfterExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		rec := session.Record{ID: "id", Version: 1, Issuer: "i", Subject: "s"}
		if err := store.Create(t.Context(), rec, session.Terms{Keep: time.Second}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := store.Delete(t.Context(), rec.ID, session.ReasonExpired); !errors.Is(err, session.ErrNotFound) {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		found, err := store.Find(t.Context(), session.SubjectIndex("i", "s"))
		if err != nil || len(found) > 0 {
			t.Errorf("found %v, %v", found, err)
		}
	})
}
