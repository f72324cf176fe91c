package redisstore

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrNoPrimary is the error of every call when the Sentinels do not know the name in the store's URL.
var ErrNoPrimary = errors.New("the Sentinels know no primary of the name in the store URL")

const (
	attempts = 3
	pause    = 25 * time.Millisecond
)

// try calls f, which may be repeated, until the server answers or the budget is spent. An answer that says "not now",
// as a server does that is starting or being replaced, is none.
func try(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	for attempt := 1; ; attempt++ {
		err := f(ctx)
		switch {
		case err != redis.Nil && errors.Is(err, redis.Nil): // the answer of a Sentinel, within what came of it
			return ErrNoPrimary
		case err == nil || attempt == attempts || !passing(err):
			return err
		}
		select {
		case <-time.After(time.Duration(attempt) * pause):
		case <-ctx.Done():
			return err
		}
	}
}

func passing(err error) bool {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return true // the network
	}
	word, _, _ := strings.Cut(answer.Error(), " ")
	switch word {
	case "LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "TRYAGAIN", "CLUSTERDOWN", "MOVED", "ASK":
		return true
	}
	return false
}

// ignoreNil forgives the answer that there is no such key.
func ignoreNil(err error) error {
	if err == redis.Nil {
		return nil
	}
	return err
}
