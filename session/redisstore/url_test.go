package redisstore_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/session/redisstore"
	"github.com/cloakroom/cloakroom/session/secret"
)

func TestParseURL(t *testing.T) {
	for text, want := range map[string]struct {
		redisstore.URL
		text string
	}{
		"redis://h":        {redisstore.URL{Scheme: "redis", Hosts: []string{"h:6379"}}, "redis://h:6379"},
		"redis://h:1/":     {redisstore.URL{Scheme: "redis", Hosts: []string{"h:1"}}, "redis://h:1"},
		"rediss://[::1]/7": {redisstore.URL{Scheme: "rediss", Hosts: []string{"[::1]:6379"}, Database: 7}, "rediss://[::1]:6379/7"},
		"redis+sentinel://a:1,b,c:3/one": {
			redisstore.URL{Scheme: "redis+sentinel", Hosts: []string{"a:1", "b:26379", "c:3"}, Primary: "one"},
			"redis+sentinel://a:1,b:26379,c:3/one",
		},
		"rediss+sentinel://a/the%20one/3": {
			redisstore.URL{Scheme: "rediss+sentinel", Hosts: []string{"a:26379"}, Primary: "the one", Database: 3},
			"rediss+sentinel://a:26379/the%20one/3",
		},
		"redis+cluster://a,b:2": {redisstore.URL{Scheme: "redis+cluster", Hosts: []string{"a:6379", "b:2"}}, "redis+cluster://a:6379,b:2"},
		"rediss+cluster://me:p%40,s@a,b/0": {
			redisstore.URL{
				Scheme: "rediss+cluster", Hosts: []string{"a:6379", "b:6379"}, Username: "me", Password: secret.New("p@,s"),
			},
			"rediss+cluster://a:6379,b:6379",
		},
	} {
		got, err := redisstore.ParseURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got.Password.Reveal() != want.Password.Reveal() {
			t.Errorf("%s: another password", text)
		}
		got.Password, want.Password = secret.String{}, secret.String{}
		if diff := cmp.Diff(want.URL, *got, cmp.AllowUnexported(secret.String{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		if got.String() != want.text || got.TLS() != strings.HasPrefix(text, "rediss") {
			t.Errorf("%s: is %s, TLS %v", text, got, got.TLS())
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	const (
		must = "must begin with redis://, redis+sentinel:// or redis+cluster:// (rediss for TLS)"
		name = "needs the name of the primary after the hosts; write "
		db   = "has a database that is not a number; write "
		all  = "sentinel://host:26379,host:26379,host:26379/mymaster/0"
	)
	for text, want := range map[string]string{
		"":                              must,
		"redis":                         must,
		"memory:":                       must,
		"http://marker@127.0.0.1":       must,
		"rediss+tls://127.0.0.1":        must,
		"redis://:marker\x7f@127.0.0.1": "is malformed",
		"redis://:mark%er@127.0.0.1":    "is malformed",
		"redis://":                      "needs a host; write redis://host:6379/0",
		"redis+cluster://a,,b":          "needs a host; write redis+cluster://host:6379,host:6379,host:6379",
		"redis://:marker@a:port":        "has a host that is malformed",
		"redis+cluster://a:1,b:x":       "has a host that is malformed",
		"redis://a,b":                   "names several servers; write redis+sentinel:// or redis+cluster://, or one server",
		"rediss://a/?skip_verify=true":  "must end after its path, without ? and #",
		"redis://a?":                    "must end after its path, without ? and #",
		"redis://a/0#x":                 "must end after its path, without ? and #",
		"redis://a/db":                  db + "redis://host:6379/0",
		"redis://a/-1":                  db + "redis://host:6379/0",
		"redis://a/1/2":                 db + "redis://host:6379/0",
		"redis+sentinel://a,b":          name + "redis+" + all,
		"rediss+sentinel://a//0":        name + "rediss+" + all,
		"redis+sentinel://a/one/two":    db + "redis+" + all,
		"redis+cluster://a,b/1":         "must end after the hosts: a Cluster has no databases; write redis+cluster://host:6379,host:6379,host:6379",
	} {
		if _, err := redisstore.ParseURL(text); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}
