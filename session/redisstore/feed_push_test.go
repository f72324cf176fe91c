package redisstore

import (
	"slices"
	"testing"

	"github.com/redis/go-redis/v9/push"

	"github.com/cloakroom/cloakroom/session"
)

// told is a follower.
type told struct {
	changed []session.ID
	missed  int
}

func (t *told) Changed(id session.ID) { t.changed = append(t.changed, id) }
func (t *told) Missed()               { t.missed++ }

// TestInvalidations: a message tells of keys, or that all are gone, which is also what is made of any other.
func TestInvalidations(t *testing.T) {
	key := func(id string) any { return "cloakroom:rec:{" + id + "}" }
	for name, test := range map[string]struct {
		message []any
		changed []session.ID
		missed  int
	}{
		"a key":                 {[]any{"invalidate", []any{key("a")}}, []session.ID{"a"}, 0},
		"keys":                  {[]any{"invalidate", []any{key("a"), key("b")}}, []session.ID{"a", "b"}, 0},
		"everything":            {[]any{"invalidate", nil}, nil, 1},
		"nothing":               {[]any{"invalidate"}, nil, 1},
		"a word":                {[]any{"invalidate", "x"}, nil, 1},
		"too much":              {[]any{"invalidate", []any{key("a")}, "x"}, nil, 1},
		"not the name of a key": {[]any{"invalidate", []any{7, key("a")}}, []session.ID{"", "a"}, 0},
	} {
		store := &Store{prefix: "cloakroom:"}
		got := &told{}
		store.Follow(got)
		f := &feed{store: store}
		if err := f.HandlePushNotification(t.Context(), push.NotificationHandlerContext{}, test.message); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Equal(got.changed, test.changed) || got.missed != test.missed {
			t.Errorf("%s: changed %q, %d times all", name, got.changed, got.missed)
		}
	}
}

// TestEcho: an echo says when it was sent; anything else says nothing.
func TestEcho(t *testing.T) {
	f := &feed{}
	for _, text := range []string{"", "x", "1.5", "99999999999999999999"} {
		f.hear(text)
		if at := f.heardAt.Load(); at != nil {
			t.Errorf("%q: heard at %v", text, at)
		}
	}
	f.hear("1500000000")
	if at := f.heardAt.Load(); at == nil || at.Sub(f.began).Seconds() != 1.5 {
		t.Errorf("heard at %v", at)
	}
}
