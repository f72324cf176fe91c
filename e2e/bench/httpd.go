package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
)

const httpdModules = "/usr/lib/apache2/modules/"

// httpdConfig does with mod_auth_openidc what cloakroomConfig does: sessions on the server, the user's access token on
// each request, no claims. The MPM is event, with four processes that stay.
const httpdConfig = `
ServerRoot %[1]s
ServerName 127.0.0.1
Listen %[2]s
PidFile %[3]s.pid
DefaultRuntimeDir %[1]s
ErrorLog /dev/stderr
LogLevel warn

LoadModule mpm_event_module %[4]smod_mpm_event.so
LoadModule authn_core_module %[4]smod_authn_core.so
LoadModule authz_core_module %[4]smod_authz_core.so
LoadModule authz_user_module %[4]smod_authz_user.so
LoadModule headers_module %[4]smod_headers.so
LoadModule proxy_module %[4]smod_proxy.so
LoadModule proxy_http_module %[4]smod_proxy_http.so
LoadModule auth_openidc_module %[4]smod_auth_openidc.so
%[5]s

StartServers 4
ServerLimit 4
ThreadsPerChild 64
MaxRequestWorkers 256
MinSpareThreads 1
MaxSpareThreads 256
MaxConnectionsPerChild 0
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60

LogFormat "%%h %%l %%u %%t \"%%r\" %%>s %%O \"%%{Referer}i\" \"%%{User-Agent}i\"" combined
CustomLog /dev/stdout combined

OIDCProviderMetadataURL %[6]s/.well-known/openid-configuration
OIDCClientID %[7]s
OIDCClientSecret %[8]s
OIDCRedirectURI http://%[2]s/callback
OIDCCryptoPassphrase the-passphrase-of-the-bench
OIDCPKCEMethod S256
OIDCScope "openid profile email offline_access"
OIDCPassClaimsAs environment
OIDCSessionInactivityTimeout 1800
OIDCSessionMaxDuration 43200
OIDCCacheType %[9]s

ProxyPass /api/ http://%[10]s/api/ keepalive=On
<Location />
	AuthType openid-connect
	Require valid-user
</Location>
<Location /api/>
	RequestHeader set Authorization "Bearer %%{OIDC_access_token}e"
</Location>
`

// httpd is Apache with mod_auth_openidc and one of its caches.
func httpd(inRedis bool) opener {
	return func(b *bench, name string) (*subject, error) {
		program, err := find("apache2")
		if err != nil {
			return nil, err
		}
		version, err := versionOfModule(httpdModules + "mod_auth_openidc.so")
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("mod_auth_openidc: %w", exec.ErrNotFound)
		}
		if err != nil {
			return nil, err
		}
		version = versionOf(program, "-v") + " with mod_auth_openidc " + version
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		op, err := startOP("http://" + address + "/callback")
		if err != nil {
			return nil, err
		}
		cache := "shm"
		if inRedis {
			server, err := b.startRedis()
			if err != nil {
				return nil, err
			}
			cache = "redis\nOIDCRedisCacheServer " + server
		}
		user := "" // root does not serve
		if os.Getuid() == 0 {
			user = "User www-data\nGroup www-data"
		}
		file, err := b.write(name+".conf", fmt.Sprintf(httpdConfig, b.scratch, address, name, httpdModules, user,
			op, clientID, clientSecret, cache, b.upstream.address))
		if err != nil {
			return nil, err
		}
		p, err := b.start(name, address, program, "-D", "FOREGROUND", "-f", file)
		if err != nil {
			return nil, err
		}
		cookie, err := login("http://" + address + "/api/small")
		return &subject{process: p, version: version, address: address, field: cookie, op: op}, err
	}
}
