package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// The tests over the tables of header fields: hygieneup_test.go for requests, hygienedown_test.go for answers. They walk
// the tables themselves, so that a new row is tested by being there, and TestRequiredRules notices a row that is gone.

// samples are names that the rule matches.
func samples(rule fieldRule) []string {
	if rule.name == oddNames {
		return []string{"a_b", "_", "x.forwarded.for", "$WSRU", "x-user~", "'x'", "a+b"}
	}
	if start, ok := strings.CutSuffix(rule.name, "*"); ok {
		return []string{start, start + "a", strings.TrimSuffix(start, "-") + "-some-name"}
	}
	if end, ok := strings.CutPrefix(rule.name, "*"); ok {
		return []string{end, "some-" + end}
	}
	return []string{rule.name}
}

// spellings are those that some server or other takes for the same name.
func spellings(name string) []string {
	mixed := []byte(strings.ToLower(name))
	for i := 1; i < len(mixed); i += 2 {
		mixed[i] = strings.ToUpper(name)[i]
	}
	all := []string{
		strings.ToLower(name), strings.ToUpper(name), string(mixed), http.CanonicalHeaderKey(name),
		strings.ReplaceAll(name, "-", "_"), strings.ToUpper(strings.ReplaceAll(name, "-", "_")),
		strings.Replace(name, "-", "_", 1), http.CanonicalHeaderKey(strings.ReplaceAll(name, "-", "_")),
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// spoofs are a field line for each spelling of each sample, with a value that says which rule should have removed it.
func spoofs(rules ...fieldRule) []string {
	var lines []string
	for _, rule := range rules {
		for _, name := range samples(rule) {
			for _, spelling := range spellings(name) {
				lines = append(lines, spelling+": spoof of "+rule.name)
			}
		}
	}
	return lines
}

// spoofed are the values of spoofs that are in the header, for a message.
func spoofed(h http.Header) []string {
	var found []string
	for name, values := range h {
		if text := strings.Join(values, ", "); strings.Contains(text, "spoof") {
			found = append(found, name+": "+text)
		}
	}
	slices.Sort(found)
	return found
}

// TestRulesMakeSense: no rule is there twice or covered by another, each has a reason, and nothing is kept that is
// removed everywhere.
func TestRulesMakeSense(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]struct{ removed, kept []fieldRule }{
		"up":               {removedUp, keptUp},
		"down":             {removedDown, keptDown},
		"down and private": {slices.Concat(removedDown, removedPrivate), nil},
		"down and data":    {slices.Concat(removedDown, removedData), nil},
		"own":              {ownFields, nil},
	} {
		all := newFieldSet(table.removed, table.kept...)
		for i, rule := range table.removed {
			if rule.reason == "" || rule.name != strings.ToLower(rule.name) {
				t.Errorf("%s: %q needs lower case and a reason", name, rule.name)
			}
			others := newFieldSet(slices.Delete(slices.Clone(table.removed), i, i+1))
			if !slices.ContainsFunc(samples(rule), func(sample string) bool { return !others.has(sample) }) {
				t.Errorf("%s: without %q nothing changes", name, rule.name)
			}
			for _, sample := range samples(rule) {
				for _, spelling := range spellings(sample) {
					if !all.has(spelling) {
						t.Errorf("%s: %q is not removed", name, spelling)
					}
				}
			}
		}
		for _, kept := range table.kept {
			if all.has(kept.name) || kept.reason == "" {
				t.Errorf("%s: %q is kept, and removed or without a reason", name, kept.name)
			}
		}
	}
}

// TestRequiredRules is the floor under the tables: the names of PX-03 to PX-06 and PX-24, and one of each gateway that
// an application may have stood behind before.
func TestRequiredRules(t *testing.T) {
	t.Parallel()
	up := newFieldSet(removedUp, keptUp...)
	for name := range strings.FieldsSeq(`
		Authorization Proxy-Authorization DPoP X-Serverless-Authorization Cookie2 X-CSRF
		Upgrade Connection HTTP2-Settings TE Trailer Keep-Alive Proxy-Connection Transfer-Encoding
		Forwarded X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Forwarded-Port X-Forwarded-Prefix X-Forwarded-Server
		X-Forwarded-User X-Forwarded-Email X-Forwarded-Groups X-Forwarded-Preferred-Username X-Forwarded-Access-Token
		X-Forwarded-Uri X-Forwarded-Method X-Forwarded-Scheme X-Forwarded-Ssl X-Forwarded-Client-Cert
		X-Forwarded-Tls-Client-Cert X-Forwarded-Tls-Client-Cert-Info X-Forwarded X-Forward-For Forwarded-For
		X-Original-Forwarded-For X-Real-IP X-Client-IP Client-IP X-Cluster-Client-IP True-Client-IP X-Remote-Addr X-Remote-IP
		CF-Connecting-IP CF-Connecting-IPv6 CF-Pseudo-IPv4 Fastly-Client-IP Fly-Client-IP X-Azure-ClientIP
		X-Appengine-User-IP X-Envoy-External-Address X-Vercel-Forwarded-For X-Nf-Client-Connection-Ip WL-Proxy-Client-IP
		X-Host X-HTTP-Host-Override Front-End-Https X-Scheme
		X-Original-URL X-Original-URI X-Original-Host X-Rewrite-URL X-Override-URL X-Replaced-Path Script-Name Path-Info
		X-HTTP-Method X-HTTP-Method-Override X-Method-Override X-Middleware-Subrequest X-Middleware-Rewrite X-Matched-Path
		X-Now-Route-Matches X-Invoke-Path X-Astro-Path X-React-Router-Prerender-Data Proxy X-Accel-Mapping X-Sendfile-Type
		Destination Max-Forwards X-Envoy-Original-Path X-Envoy-Internal
		X-SSL-Client-Cert X-SSL-Client-Verify SSL-Client-Verify X-Client-Cert Client-Cert Client-Cert-Chain X-ARR-ClientCert
		X-Amzn-Mtls-Clientcert
		X-Auth-Request-User X-Auth-Request-Email X-Auth-Request-Access-Token X-Auth-Token X-Auth-Username X-Auth-Userid
		Remote-User Remote-Groups Remote-Email X-Remote-User X-Remote-Group X-Remote-Extra-Scopes Impersonate-User
		X-User X-User-Id X-Email X-Groups X-Userinfo X-Authenticated-Userid X-Authenticated-Groups X-Consumer-Username
		X-Consumer-Custom-Id X-Credential-Identifier X-Anonymous-Consumer X-Authentik-Username X-Webauth-User X-Webauth-Email
		X-Vouch-User X-Vouch-Idp-Accesstoken X-Pomerium-Jwt-Assertion X-Pomerium-Claim-Email X-Kratos-Authenticated-Identity-Id
		Tailscale-User-Login Tailscale-User-Name Teleport-Jwt-Assertion X-Goog-Authenticated-User-Email X-Goog-Iap-Jwt-Assertion
		X-Amzn-Oidc-Data X-Amzn-Oidc-Identity X-Amzn-Oidc-Accesstoken X-Amzn-Request-Context X-Ms-Client-Principal
		X-Ms-Client-Principal-Id X-Ms-Token-Aad-Access-Token Cf-Access-Jwt-Assertion Cf-Access-Authenticated-User-Email
		X-Endpoint-Api-Userinfo X-Jwt-Assertion OIDC-Claim-Sub Shib-Session-Id SM-User IV-User L5d-Client-Id L5d-Dst-Override
		Dapr-App-Id X-Cf-App-Instance Sec-Session-Response Secure-Session-Response Sec-Secure-Session-Id
		X_Forwarded_For X_User HTTP_X $WSRU`) {
		if !up.has(name) {
			t.Errorf("%s goes up", name)
		}
	}
	down := answerFilters[anyAnswer].removed
	for name := range strings.FieldsSeq(`
		Access-Control-Allow-Origin Access-Control-Allow-Credentials Access-Control-Allow-Private-Network Timing-Allow-Origin
		Activate-Storage-Access Clear-Site-Data Strict-Transport-Security Public-Key-Pins Public-Key-Pins-Report-Only Alt-Svc
		Service-Worker-Allowed Refresh NEL Report-To Reporting-Endpoints Set-Login Secure-Session-Registration
		Secure-Session-Challenge Sec-Session-Registration Set-Cookie2 WWW-Authenticate Proxy-Authenticate Authentication-Info
		Authorization DPoP-Nonce X-Accel-Redirect X-Sendfile X-Lighttpd-Send-File Server X-Powered-By Via X-Request-Id
		Connection Keep-Alive Trailer Upgrade Proxy-Status X-Content-Type-Options`) {
		if !down.has(name) {
			t.Errorf("%s reaches the browser", name)
		}
	}
	for name := range strings.FieldsSeq(`Cache-Control CDN-Cache-Control Cloudflare-CDN-Cache-Control Surrogate-Control
		Expires Pragma Age X-Accel-Expires`) {
		if !answerFilters[personal].removed.has(name) || down.has(name) {
			t.Errorf("%s of personal answers", name)
		}
	}
	for name := range strings.FieldsSeq(`Set-Cookie Content-Security-Policy Cross-Origin-Resource-Policy Accept-CH
		Speculation-Rules Origin-Agent-Cluster Attribution-Reporting-Register-Source`) {
		if !answerFilters[data].removed.has(name) || answerFilters[personal].removed.has(name) {
			t.Errorf("%s of data", name)
		}
	}
}

// What Chromium sends with a fetch, and what an API answers, for the benchmarks.
var (
	browserFields = strings.Fields(`Accept Accept-Encoding Accept-Language Cache-Control Cookie Content-Type Content-Length
		Origin Pragma Priority Referer Sec-Ch-Ua Sec-Ch-Ua-Mobile Sec-Ch-Ua-Platform Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site
		User-Agent X-Csrf X-Request-Id`)
	answerFields = strings.Fields(`Cache-Control Content-Length Content-Type Date Etag Server Vary X-Powered-By X-Request-Id
		X-Trace`)
)

func BenchmarkRemoved(b *testing.B) {
	for name, c := range map[string]struct {
		set    *fieldSet
		fields []string
	}{
		"up":   {newFieldSet(removedUp, keptUp...), browserFields},
		"down": {answerFilters[data].removed, answerFields},
	} {
		b.Run(fmt.Sprintf("%s-%d", name, len(c.fields)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, field := range c.fields {
					c.set.has(field)
				}
			}
		})
	}
}

// TestRemovedAllocatesNothing holds what the benchmark measures, for unknown names too.
func TestRemovedAllocatesNothing(t *testing.T) {
	up := newFieldSet(removedUp, keptUp...)
	allocs := testing.AllocsPerRun(100, func() {
		for _, name := range browserFields {
			up.has(name)
		}
		for _, name := range answerFields {
			answerFilters[data].removes(name)
		}
		up.has("X-Some-Application")
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
