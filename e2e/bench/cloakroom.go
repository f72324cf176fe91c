package main

import (
	"fmt"
	"os/exec"
	"strings"
)

// cloakroomConfig is what an operator writes for one API. The access log, which cannot be turned off, goes to a file.
const cloakroomConfig = `
public_url: http://%[1]s
listen: %[1]s
admin: {listen: %[2]s}
providers:
  - {issuer: %[3]s, client_id: %[4]s, client_secret: %[5]s}
session: {store: "%[6]s", cache: %[7]s, keys_file: %[9]s}
routes:
  - {path: /api/, upstream: "http://%[8]s", token: user, csrf: header}
`

// cloakroom is a way to open one build of ours.
func cloakroom(build func(*bench) (program string, err error), cache string, inRedis bool) opener {
	return func(b *bench, name string) (*subject, error) {
		program, err := build(b)
		if err != nil {
			return nil, err
		}
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		admin, err := freeAddress()
		if err != nil {
			return nil, err
		}
		op, err := startOP("http://" + address + "/bff/callback")
		if err != nil {
			return nil, err
		}
		store := "memory:"
		if inRedis {
			redis, err := b.startRedis()
			if err != nil {
				return nil, err
			}
			store = "redis://" + redis
		}
		keys, err := exec.Command(program, "keygen", "session").Output()
		if err != nil {
			return nil, err
		}
		ring, err := b.write(name+".keys", string(keys))
		if err != nil {
			return nil, err
		}
		file, err := b.write(name+".yaml", fmt.Sprintf(cloakroomConfig,
			address, admin, op, clientID, clientSecret, store, cache, b.upstream.address, ring))
		if err != nil {
			return nil, err
		}
		p, err := b.start(name, address, program, "serve", "-config", file)
		if err != nil {
			return nil, err
		}
		if err := b.ready("http://" + admin + "/readyz"); err != nil {
			return nil, err
		}
		line, err := exec.Command(program, "version").Output()
		if err != nil {
			return nil, err
		}
		version, _, _ := strings.Cut(strings.TrimPrefix(string(line), "cloakroom "), ",")
		cookie, err := login("http://" + address + "/bff/login?returnUrl=/")
		return &subject{process: p, version: strings.Trim(version, "()"), address: address, field: cookie, op: op}, err
	}
}
