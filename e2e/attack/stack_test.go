package attack_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// locations are what every upstream of the differential run knows. It names the one that it believes was reached in
// X-Location, "none" for anything else, and the request target as it came in X-Raw.
var locations = []string{"public", "api", "admin", "internal"}

// stack is an upstream that reads paths in its own way.
type stack struct {
	name    string
	address string
}

func startStacks(t *testing.T) []stack {
	t.Helper()
	return []stack{startGo(t), startNginx(t), startNode(t), startApache(t)}
}

// startGo is net/http's ServeMux.
func startGo(t *testing.T) stack {
	t.Helper()
	s := httptest.NewServer(goUpstream())
	t.Cleanup(s.Close)
	return stack{"net/http", s.Listener.Addr().String()}
}

// goUpstream asks two: ServeMux, and code that opens files by a path which it has cleaned once too often. Where they
// disagree it says both.
func goUpstream() http.Handler {
	mux := http.NewServeMux()
	report := func(location string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			reached := location
			if second := careless(r.URL.Path); second != location {
				reached += " or " + second
			}
			w.Header().Set("X-Location", reached)
			w.Header().Set("X-Raw", r.RequestURI)
		}
	}
	mux.Handle("/", report("none"))
	for _, location := range locations {
		mux.Handle("/"+location, report(location))
		mux.Handle("/"+location+"/", report(location))
	}
	return mux
}

// careless is the location of a path that is decoded again, and read as Windows and servlet containers read it.
func careless(p string) string {
	if again, err := url.PathUnescape(p); err == nil {
		p = again
	}
	p = strings.ToLower(strings.ReplaceAll(p, `\`, "/"))
	segments := strings.Split(p, "/")
	for i, segment := range segments {
		segment, _, _ = strings.Cut(segment, ";")
		segments[i], _, _ = strings.Cut(segment, "\x00")
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(path.Clean("/"+strings.Join(segments, "/")), "/"), "/")
	if slices.Contains(locations, first) {
		return first
	}
	return "none"
}

func startNginx(t *testing.T) stack {
	t.Helper()
	var blocks strings.Builder
	for _, location := range locations {
		fmt.Fprintf(&blocks, "location /%[1]s { add_header X-Location %[1]s always; add_header X-Raw $request_uri always; return 200; }\n", location)
	}
	address := net.JoinHostPort("127.0.0.1", freePort(t))
	return startServer(t, "nginx", address, fmt.Sprintf(`
daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
events {}
http {
	access_log off;
	keepalive_requests 1000000;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server {
		listen %s;
		location / { add_header X-Location none always; add_header X-Raw $request_uri always; return 404; }
		%s
	}
}
`, address, &blocks), func(dir, file string) *exec.Cmd {
		return exec.Command(program(t, "nginx", "/usr/sbin/nginx"), "-p", dir, "-e", "stderr", "-c", file)
	})
}

// startApache is httpd, told to decode encoded slashes, which it refuses by itself.
func startApache(t *testing.T) stack {
	t.Helper()
	var blocks strings.Builder
	for _, location := range locations {
		fmt.Fprintf(&blocks, "<Location /%[1]s>\nHeader always set X-Location %[1]s\n</Location>\n", location)
	}
	address := net.JoinHostPort("127.0.0.1", freePort(t))
	user := ""
	if os.Getuid() == 0 {
		user = "User nobody\nGroup nogroup\n"
	}
	return startServer(t, "Apache httpd", address, fmt.Sprintf(`
ServerRoot "/usr/lib/apache2"
LoadModule mpm_event_module modules/mod_mpm_event.so
LoadModule authz_core_module modules/mod_authz_core.so
LoadModule alias_module modules/mod_alias.so
LoadModule headers_module modules/mod_headers.so
%s
DefaultRuntimeDir "${DIR}"
PidFile "${DIR}/httpd.pid"
ErrorLog /dev/stderr
LogLevel crit
ServerName upstream
Listen %s
MaxKeepAliveRequests 0
KeepAliveTimeout 60
AllowEncodedSlashes On
RedirectMatch 410 ^
Header always set X-Location none
Header always set X-Raw "expr=%%{THE_REQUEST}"
%s`, user, address, &blocks), func(dir, file string) *exec.Cmd {
		cmd := exec.Command(program(t, "apache2", "/usr/sbin/apache2", "httpd"), "-D", "FOREGROUND", "-f", file)
		cmd.Env = append(os.Environ(), "DIR="+dir)
		return cmd
	})
}

func startNode(t *testing.T) stack {
	t.Helper()
	port := freePort(t)
	return startServer(t, "Node.js", net.JoinHostPort("127.0.0.1", port), "", func(string, string) *exec.Cmd {
		return exec.Command(program(t, "node"), "testdata/upstream.mjs", port)
	})
}

// startServer starts a program with a folder and a configuration file of its own.
func startServer(t *testing.T, name, address, config string, command func(dir, file string) *exec.Cmd) stack {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "server.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, command(dir, file), io.Discard)
	p.eventually(name, func() bool { return listens(address) })
	return stack{name, address}
}
