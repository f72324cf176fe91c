package main

import (
	"fmt"
	"runtime"
)

// alone is the upstream with nothing before it.
func alone(b *bench, _ string) (*subject, error) {
	return &subject{process: b.upstream.process, address: b.upstream.address, field: plainToken}, nil
}

func bare(b *bench, name string) (*subject, error) {
	program, err := b.build("bench/bare", "bare")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return b.plain(name, address, runtime.Version(), program, address, "http://"+b.upstream.address)
}

// plain starts a proxy that knows no sessions.
func (b *bench) plain(name, address, version, program string, arguments ...string) (*subject, error) {
	p, err := b.start(name, address, program, arguments...)
	return &subject{process: p, version: version, address: address, field: plainToken}, err
}

// nginxConfig keeps connections, streams bodies in both directions, and logs.
const nginxConfig = `
daemon off;
worker_processes 2;
pid nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
	access_log /dev/stdout combined;
	client_body_temp_path nginx-body;
	proxy_temp_path nginx-proxy;
	fastcgi_temp_path nginx-fastcgi;
	uwsgi_temp_path nginx-uwsgi;
	scgi_temp_path nginx-scgi;
	keepalive_requests 100000000;
	upstream api {
		server %s;
		keepalive 512;
		keepalive_requests 100000000;
	}
	server {
		listen %s;
		location / {
			proxy_pass http://api;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_request_buffering off;
			proxy_max_temp_file_size 0;
			client_max_body_size 0;
		}
	}
}
`

func nginx(b *bench, name string) (*subject, error) {
	program, err := find("nginx")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	file, err := b.write("nginx.conf", fmt.Sprintf(nginxConfig, b.upstream.address, address))
	if err != nil {
		return nil, err
	}
	return b.plain(name, address, versionOf(program, "-v"), program, "-p", b.scratch, "-e", "stderr", "-c", file)
}

const haproxyConfig = `
global
	nbthread 2
	log stdout format raw local0
defaults
	mode http
	log global
	option httplog
	http-reuse always
	timeout connect 5s
	timeout client 60s
	timeout server 60s
frontend app
	bind %s
	default_backend api
backend api
	server api %s
`

func haproxy(b *bench, name string) (*subject, error) {
	program, err := find("haproxy")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	file, err := b.write("haproxy.cfg", fmt.Sprintf(haproxyConfig, address, b.upstream.address))
	if err != nil {
		return nil, err
	}
	return b.plain(name, address, versionOf(program, "-v"), program, "-db", "-f", file)
}
