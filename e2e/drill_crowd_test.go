//go:build drills

package e2e_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom/cloakroom/session"
	"github.com/cloakroom/cloakroom/session/sessiontest"
)

// crowd puts copies of one real session into a server, each under the names of a user of its own. Nobody has tickets for
// them, so that what is sealed may be anything.
type crowd struct {
	t      *testing.T
	fleet  *fleet
	client *redis.Client
	fields map[string]string // of the record
	life   time.Duration     // of all keys
	meta   session.Record    // what is in clear
}

func newCrowd(t *testing.T, f *fleet, server *sessiontest.RedisServer) *crowd {
	t.Helper()
	c := &crowd{t: t, fleet: f, client: redis.NewClient(&redis.Options{Addr: server.Addr, ReadTimeout: time.Minute})}
	t.Cleanup(func() { _ = c.client.Close() })
	id := f.signIn(1)[0].session(t)
	var err error
	if c.meta, _, err = openStore(t, f).Load(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	key := recordKey(id)
	c.fields, c.life = c.client.HGetAll(t.Context(), key).Val(), c.client.PTTL(t.Context(), key).Val()
	if len(c.fields) != 3 || c.life <= 0 {
		t.Fatalf("the record has %d fields and lives for %v", len(c.fields), c.life)
	}
	return c
}

func recordKey(id session.ID) string { return "cloakroom:rec:{" + string(id) + "}" }

// fits is how many sessions, up to most, half of the machine's free memory has room for.
func (c *crowd) fits(most int) int {
	c.t.Helper()
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		c.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "MemAvailable:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		c.t.Fatal(err)
	}
	n := min(most, kilobytes/2/((sealedSize+2000)/1000))
	if n < most {
		c.t.Logf("the machine has memory for %d sessions, not for %d", n, most)
	}
	return n
}

func (c *crowd) memory() int64 {
	c.t.Helper()
	_, rest, _ := strings.Cut(c.client.Info(c.t.Context(), "memory").Val(), "used_memory:")
	n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// fill writes what redisstore writes at a login.
func (c *crowd) fill(sessions int) {
	c.t.Helper()
	const workers, batch = 2, 200
	sealed := make([]byte, sealedSize)
	_, _ = rand.Read(sealed)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := w * batch; i < sessions; i += workers * batch {
				_, err := c.client.Pipelined(c.t.Context(), func(p redis.Pipeliner) error {
					for n := i; n < min(i+batch, sessions); n++ {
						c.add(p, n, sealed)
					}
					return nil
				})
				if err != nil {
					c.t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

func (c *crowd) add(p redis.Pipeliner, n int, sealed []byte) {
	ctx := context.Background()
	rec := c.nth(n)
	key := recordKey(rec.ID)
	meta := strings.NewReplacer(`"`+c.meta.Subject+`"`, `"`+rec.Subject+`"`, c.meta.SID, rec.SID).Replace(c.fields["m"])
	p.HSet(ctx, key, "v", c.fields["v"], "s", sealed, "m", meta)
	p.PExpire(ctx, key, c.life)
	p.Set(ctx, activityKey(rec.ID), time.Now().UnixMilli(), c.life)
	for _, index := range rec.Indexes() {
		key := "cloakroom:" + string(index)
		p.ZAdd(ctx, key, redis.Z{Score: float64(time.Now().Add(c.life).UnixMilli()), Member: string(rec.ID)})
		p.PExpire(ctx, key, c.life)
	}
	p.ZAdd(ctx, dueKey, redis.Z{Score: float64(time.Now().Add(c.life).UnixMilli() + int64(n)), Member: string(rec.ID)})
}

const dueKey = "cloakroom:due"

func activityKey(id session.ID) string { return "cloakroom:act:{" + string(id) + "}" }

// nth is the n-th of the crowd: the same for the same n.
func (c *crowd) nth(n int) session.Record {
	rec := c.meta
	rec.Subject = fmt.Sprintf("user-%d", n)
	rec.SID = fmt.Sprintf("%0*d", len(c.meta.SID), n)
	index := string(session.SIDIndex(rec.Issuer, rec.SID)) // a hash, as an id is
	rec.ID = session.ID(index[strings.Index(index, ":")+1:])
	return rec
}

// breakdown says what each kind of key takes, and checks that copies take what a real session does.
func (c *crowd) breakdown(sessions int) string {
	c.t.Helper()
	usage := func(key string) int64 {
		n, err := c.client.MemoryUsage(c.t.Context(), key, 0).Result()
		if err != nil {
			c.t.Fatal(key, err)
		}
		return n
	}
	parts := func(rec session.Record) []int64 {
		sizes := []int64{usage(recordKey(rec.ID)), usage(activityKey(rec.ID))}
		for _, index := range rec.Indexes() {
			sizes = append(sizes, usage("cloakroom:"+string(index)))
		}
		return sizes
	}
	one, copied := parts(c.meta), parts(c.nth(sessions/2))
	one[0] += sealedSize - int64(len(c.fields["s"]))
	for i := range one {
		if diff := one[i] - copied[i]; diff < -64 || diff > 1024 { // what is allocated is rounded up
			c.t.Errorf("part %d of a copy takes %d bytes, that of a real session %d", i, copied[i], one[i])
		}
	}
	return fmt.Sprintf("record %d, activity %d, index by sub %d, index by sid %d, due time %d",
		copied[0], copied[1], copied[2], copied[3], usage(dueKey)/int64(sessions))
}
