package redisstore

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// quietFor is how long a line of the client library is not repeated. While a server is away it has the same to say
// about every connection.
const quietFor = time.Minute

// clientLog passes on what the client library logs, each of its lines once in quietFor, whatever its arguments.
type clientLog struct {
	log *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time // by format, of which there are some fifty
}

// logTo makes log the library's logger. It has one for the whole process; the newest Store sets it.
func logTo(log *slog.Logger) {
	redis.SetLogger(&clientLog{log: log, last: map[string]time.Time{}})
}

// Printf implements the logger of go-redis. It has no levels: what fails comes back as the error of a call, too.
func (c *clientLog) Printf(ctx context.Context, format string, args ...any) {
	c.mu.Lock()
	now := time.Now()
	repeated := now.Sub(c.last[format]) < quietFor
	if !repeated {
		c.last[format] = now
	}
	c.mu.Unlock()
	if !repeated {
		c.log.InfoContext(ctx, "redis client", "text", fmt.Sprintf(format, args...))
	}
}
