package e2e_test

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
)

// behindNginx is the gateway as browsers see it through nginx that has been told nothing but where the gateway is: it
// speaks HTTP/1.0 to it, and collects an answer before it passes it on.
func behindNginx(t *testing.T, g *gateway) *gateway {
	t.Helper()
	front := *g.config
	front.Listen = loopback(freePort(t))
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	writeFile(t, file, fmt.Sprintf(`
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server {
		listen %s;
		location / {
			proxy_pass http://%s;
			proxy_set_header Host $http_host;
		}
	}
}
`, front.Listen, g.config.Listen))
	p := start(t, exec.Command(program(t, "nginx", "/usr/sbin/nginx"), "-p", dir, "-e", "stderr", "-c", file))
	eventually(t, startTime, "nginx", func() bool {
		if !p.running() {
			t.Fatalf("nginx has stopped: %s", p.stderr)
		}
		conn, err := net.Dial("tcp", front.Listen)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return &gateway{p, &front}
}
