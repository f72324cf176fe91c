package gateway

import (
	"cmp"
	"strings"
	"time"

	"github.com/cloakroom/cloakroom/session/redisstore"
)

func (s *Session) decode(b *block) {
	s.Store = b.text("store", "memory:")
	s.KeysFile = b.text("keys_file", "")
	s.IdleTimeout = b.duration("idle_timeout", 30*time.Minute)
	s.Lifetime = b.duration("lifetime", 12*time.Hour)
	s.RefreshBefore = b.duration("refresh_before", time.Minute)
	s.SameSite = b.text("same_site", "strict")
	s.Claims = b.list("claims", "sub", "name", "preferred_username", "email", "picture")
	s.PerUserLimit = int(b.number("per_user_limit", 0))
	s.MaxRequests = int(b.number("max_requests", 256))
	s.Cache = b.onOff("cache", true)
	s.AllowMemory = b.flag("allow_memory", false)
	s.Redis.decode(b.block("redis"))
	s.moveCredentials(b)
	b.end()
}

// moveCredentials takes the user and the password out of the store's URL, so that it can be shown.
func (s *Session) moveCredentials(b *block) {
	u, err := redisstore.ParseURL(s.Store)
	if err != nil {
		return // not a URL of Redis: validate says so
	}
	if u.Username != "" {
		if s.Redis.Username != "" {
			b.fail(b.at("redis")+".username", "contradicts the user in session.store; keep one of the two")
		}
		s.Redis.Username = u.Username
	}
	if !u.Password.IsZero() {
		if s.Redis.PasswordFile != "" {
			b.fail(b.at("redis")+".password_file", "contradicts the password in session.store; keep one of the two")
		}
		s.Redis.Password = u.Password
	}
	s.Store = u.String()
}

func (s *Session) validate(r *report) {
	s.validateStore(r)
	if s.IdleTimeout <= 0 {
		r.fail("session.idle_timeout", "must be longer than zero; write for example 30m")
	}
	if s.Lifetime <= 0 {
		r.fail("session.lifetime", "must be longer than zero; write for example 12h")
	}
	if s.IdleTimeout > s.Lifetime {
		r.fail("session.idle_timeout", "is longer than session.lifetime; write at most %s", s.Lifetime)
	}
	if s.RefreshBefore < 0 {
		r.fail("session.refresh_before", "must not be negative; write for example 60s")
	}
	r.oneOf("session.same_site", s.SameSite, []string{"strict", "lax"})
	if s.PerUserLimit < 0 {
		r.fail("session.per_user_limit", "must not be negative; write a number of sessions, 0 for no limit")
	}
	if s.MaxRequests < 0 {
		r.fail("session.max_requests", "must not be negative; write a number of requests at a time, 0 for no limit")
	}
	for i, claim := range s.Claims {
		if claim == "" {
			r.fail(item("session.claims", i), "must be the name of a claim, such as email")
		}
	}
}

func (s *Session) validateStore(r *report) {
	if s.Store == "memory:" {
		if s.Redis != (Redis{}) {
			r.fail("session.redis", "contradicts session.store memory:; write a redis:// store or remove the block")
		}
		return
	}
	u, err := redisstore.ParseURL(s.Store)
	if err != nil {
		r.fail("session.store", "must be memory: or the URL of a Redis, which %s", err)
	}
	if s.KeysFile == "" {
		r.fail("session.keys_file", "is missing; write the output of `cloakroom keygen session` into a file that every replica "+
			"has, and name it here")
	}
	if err == nil {
		s.Redis.validate(r, u)
	}
}

func (o *Redis) decode(b *block) {
	o.Username = b.text("username", "")
	if o.PasswordFile = b.text("password_file", ""); o.PasswordFile != "" {
		o.Password = b.secretFile("password", o.PasswordFile)
	}
	o.SentinelUsername = b.text("sentinel_username", "")
	if file := b.text("sentinel_password_file", ""); file != "" {
		o.SentinelPassword = b.secretFile("sentinel_password", file)
	}
	o.CAFile = b.text("ca_file", "")
	o.CertFile = b.text("cert_file", "")
	o.KeyFile = b.text("key_file", "")
	b.end()
}

func (o *Redis) validate(r *report, u *redisstore.URL) {
	if o.Username != "" && o.Password.IsZero() {
		r.fail("session.redis.password_file", "is missing; session.redis.username needs a password")
	}
	if o.SentinelUsername != "" && o.SentinelPassword.IsZero() {
		r.fail("session.redis.sentinel_password_file", "is missing; session.redis.sentinel_username needs a password")
	}
	if !u.Sentinel() && (o.SentinelUsername != "" || !o.SentinelPassword.IsZero()) {
		r.fail("session.redis", "names credentials for Sentinels; write a session.store that begins with redis+sentinel://, "+
			"or remove them")
	}
	validatePair(r, "session.redis", o.CertFile, o.KeyFile)
	if !u.TLS() && (o.CAFile != "" || o.CertFile != "") {
		r.fail("session.redis", "names files for TLS; write a session.store that begins with rediss, or remove them")
	}
}

func (l *Logout) decode(b *block) {
	l.RevokeTokens = b.flag("revoke_tokens", true)
	l.IDTokenHint = b.flag("id_token_hint", true)
	l.PostLogoutReturnURL = b.text("post_logout_return_url", "/")
	l.Method = b.text("method", "get")
	l.Frontchannel = b.flag("frontchannel", false)
	l.ClearSiteData = b.list("clear_site_data", "storage")
	b.end()
}

// siteData are the types of Clear-Site-Data (W3C) that browsers know.
var siteData = []string{"cache", "cookies", "storage", "executionContexts", "clientHints", "*"}

func (l *Logout) validate(r *report) {
	if !isLocalPath(l.PostLogoutReturnURL) {
		r.fail("logout.post_logout_return_url", "must be a path of this application, such as / or /goodbye")
	}
	r.oneOf("logout.method", cmp.Or(l.Method, "get"), []string{"get", "post"})
	for i, kind := range l.ClearSiteData {
		r.oneOf(item("logout.clear_site_data", i), kind, siteData)
	}
}

// isLocalPath accepts a path that no browser reads as another host.
func isLocalPath(text string) bool {
	return strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//") &&
		!strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c == '\\' || c >= 0x7f })
}

func (l *Login) decode(b *block) {
	l.ThirdParty = b.flag("third_party", false)
	b.end()
}
