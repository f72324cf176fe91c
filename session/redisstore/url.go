package redisstore

import (
	"cmp"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/cloakroom/cloakroom/session/secret"
)

// URL says where the servers are:
//
//	redis://[user:password@]host[:port][/db]
//	redis+sentinel://[user:password@]host[:port],host[:port].../primary[/db]
//	redis+cluster://[user:password@]host[:port],host[:port]...
//
// and the same with rediss for TLS, to the Sentinels too. The hosts of redis+sentinel are Sentinels, and primary is
// the name under which they know the server; those of redis+cluster are some of its nodes, which know the others. The
// user is that of the servers, not of the Sentinels.
type URL struct {
	Scheme   string
	Hosts    []string // host and port
	Primary  string   // redis+sentinel only
	Database int      // not with redis+cluster
	Username string
	Password secret.String
}

const (
	sentinelScheme = "redis+sentinel"
	clusterScheme  = "redis+cluster"
)

// ParseURL reads less than the parsers of go-redis do: no options in the query, which could turn checks off. Its
// errors go on after "the store URL" and do not repeat it, since it may hold a password.
func ParseURL(text string) (*URL, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		scheme = ""
	}
	u := &URL{Scheme: scheme}
	switch u.plainScheme() {
	case "redis", sentinelScheme, clusterScheme:
	default:
		return nil, errors.New("must begin with redis://, redis+sentinel:// or redis+cluster:// (rediss for TLS)")
	}
	var path string
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest, path = rest[:i], rest[i:]
	}
	user, hosts := "", rest
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		user, hosts = rest[:i+1], rest[i+1:]
	}
	// package net/url knows everything but several hosts.
	parsed, err := url.Parse(scheme + "://" + user + "host" + path)
	if err != nil {
		return nil, errors.New("is malformed")
	}
	if parsed.User != nil {
		u.Username = parsed.User.Username()
		password, _ := parsed.User.Password()
		u.Password = secret.New(password)
	}
	if parsed.RawQuery != "" || parsed.ForceQuery || strings.Contains(path, "#") {
		return nil, errors.New("must end after its path, without ? and #")
	}
	if err := u.parseHosts(hosts); err != nil {
		return nil, err
	}
	return u, u.parsePath(parsed.Path)
}

func (u *URL) parseHosts(text string) error {
	usual := "6379"
	if u.plainScheme() == sentinelScheme {
		usual = "26379"
	}
	for host := range strings.SplitSeq(text, ",") {
		parsed, err := url.Parse("redis://" + host)
		if err != nil || parsed.Host != host {
			return errors.New("has a host that is malformed")
		}
		if parsed.Hostname() == "" {
			return errors.New("needs a host; write " + u.example())
		}
		u.Hosts = append(u.Hosts, net.JoinHostPort(parsed.Hostname(), cmp.Or(parsed.Port(), usual)))
	}
	if len(u.Hosts) > 1 && u.plainScheme() == "redis" {
		return errors.New("names several servers; write redis+sentinel:// or redis+cluster://, or one server")
	}
	return nil
}

func (u *URL) parsePath(path string) error {
	path = strings.TrimPrefix(path, "/")
	switch u.plainScheme() {
	case clusterScheme:
		if path != "" && path != "0" {
			return errors.New("must end after the hosts: a Cluster has no databases; write " + u.example())
		}
		return nil
	case sentinelScheme:
		u.Primary, path, _ = strings.Cut(path, "/")
		if u.Primary == "" {
			return errors.New("needs the name of the primary after the hosts; write " + u.example())
		}
	}
	number, err := strconv.ParseUint(path, 10, 31)
	if path != "" && err != nil {
		return errors.New("has a database that is not a number; write " + u.example())
	}
	u.Database = int(number)
	return nil
}

func (u *URL) example() string {
	return u.Scheme + map[string]string{
		"redis":        "://host:6379/0",
		sentinelScheme: "://host:26379,host:26379,host:26379/mymaster/0",
		clusterScheme:  "://host:6379,host:6379,host:6379",
	}[u.plainScheme()]
}

// TLS reports whether connections are encrypted.
func (u *URL) TLS() bool { return strings.HasPrefix(u.Scheme, "rediss") }

// Sentinel reports whether the hosts are Sentinels.
func (u *URL) Sentinel() bool { return u.plainScheme() == sentinelScheme }

// plainScheme is the scheme without the s of TLS.
func (u *URL) plainScheme() string {
	if rest, ok := strings.CutPrefix(u.Scheme, "rediss"); ok {
		return "redis" + rest
	}
	return u.Scheme
}

// String is the URL without the user and the password.
func (u *URL) String() string {
	path := ""
	if u.Primary != "" {
		path = "/" + url.PathEscape(u.Primary)
	}
	if u.Database != 0 {
		path += "/" + strconv.Itoa(u.Database)
	}
	return u.Scheme + "://" + strings.Join(u.Hosts, ",") + path
}
