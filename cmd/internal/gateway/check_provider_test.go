package gateway

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// wantOutput compares what Check wrote with a file of testdata, in which the OP's port is 99999.
func wantOutput(t *testing.T, lines []string, golden string) {
	t.Helper()
	got := regexp.MustCompile(`127\.0\.0\.1:\d{5}`).ReplaceAllString(strings.Join(lines, "\n")+"\n", "127.0.0.1:99999")
	if diff := cmp.Diff(string(read(t, filepath.Join("testdata", golden))), got); diff != "" {
		t.Errorf("output (-want +got):\n%s\n%s", diff, got)
	}
}

// DIS-10, issue 3, 9: the table says what is asked of the OP and what it offers.
func TestCheckGood(t *testing.T) {
	lines, ok := runCheck(t, checked{issuer: startOP(t).URL}.file(t), false)
	wantOutput(t, lines, "check-good.txt")
	if !ok {
		t.Error("the verdict is bad")
	}
}

// Everything that this OP lacks has a line with what to do, and nothing else fails.
func TestCheckTableOfFailures(t *testing.T) {
	op := startOP(t)
	for member, value := range map[string]any{
		"token_endpoint_auth_methods_supported":          []string{"private_key_jwt", "tls_client_auth"},
		"id_token_signing_alg_values_supported":          []string{"ES256"},
		"code_challenge_methods_supported":               []string{"plain"},
		"response_modes_supported":                       []string{"query", "form_post"},
		"authorization_signing_alg_values_supported":     []string{"ES256"},
		"authorization_response_iss_parameter_supported": false,
		"authorization_details_types_supported":          []string{"account_information"},
		"userinfo_signing_alg_values_supported":          []string{"none"},
		"grant_types_supported":                          []string{"authorization_code"},
		"backchannel_logout_supported":                   false,
	} {
		op.Fault(optest.Metadata(member, value))
	}
	for _, member := range []string{"pushed_authorization_request_endpoint", "end_session_endpoint", "revocation_endpoint"} {
		op.Fault(optest.WithoutMetadata(member))
	}
	lines, ok := runCheck(t, checked{
		issuer: op.URL,
		provider: `    pushed_authorization_requests: required
    authorization_details: [{type: payment_initiation}]
    response_mode: jwt
    userinfo_signing_alg: RS256
`,
	}.file(t), false)
	wantOutput(t, lines, "check-failures.txt")
	if ok {
		t.Error("the verdict is good")
	}
}

// What an OP writes reaches a person's terminal through this table: it stays on its line, is no escape sequence, and
// does not grow without bound (DIS-18).
func TestCheckHostileOP(t *testing.T) {
	const evil = "\x1b[2J\u009b\u202e\r\nok   all is well\tyes"
	endless := slices.Repeat([]string{evil}, 10_000)
	op := startOP(t)
	file := checked{issuer: op.URL}.file(t)
	for _, member := range []string{
		"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint",
		"pushed_authorization_request_endpoint", "token_endpoint_auth_methods_supported", "scopes_supported",
		"response_modes_supported", "id_token_signing_alg_values_supported", "code_challenge_methods_supported",
		"grant_types_supported", "authorization_response_iss_parameter_supported",
	} {
		for kind, value := range map[string]any{
			"text": evil, "long text": strings.Repeat(evil, 5_000), "list": endless, "object": map[string]any{evil: evil},
			"URL": "https://op.example.com/" + evil,
		} {
			op.ClearFaults()
			op.Fault(optest.Metadata(member, value))
			lines, _ := runCheck(t, file, false)
			if len(lines) > 50 {
				t.Errorf("%s, %s: %d lines", member, kind, len(lines))
			}
			for _, line := range lines {
				if !strings.HasPrefix(line, "ok   ") && !strings.HasPrefix(line, "FAIL ") || strings.HasPrefix(line, "ok   all") {
					t.Errorf("%s, %s: a line that is not ours: %q", member, kind, line)
				}
				if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("%s, %s: a line with control characters: %q", member, kind, line)
				}
				if len(line) > 2_000 {
					t.Errorf("%s, %s: a line of %d bytes", member, kind, len(line))
				}
			}
		}
	}
}

// The files of a provider are looked at offline too.
func TestCheckProviderFiles(t *testing.T) {
	files := newPair(t, "app")
	leaf, err := openClientCertificate(files.cert, files.key, nil)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(files.cert)
	plain := filepath.Join(folder, "plain")
	if err := os.WriteFile(plain, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	const unasked = "ok   provider default: not asked, because of -offline"
	for name, test := range map[string]struct {
		secret string // what the provider has instead of one
		want   []string
		bad    bool
	}{
		"client key": {
			"    client_auth: private_key_jwt\n    client_key_file: " + files.key + "\n",
			[]string{"ok   provider default: client keys of FOLDER/client.key", unasked},
			false,
		},
		"no client key": {
			"    client_auth: private_key_jwt\n    client_key_file: " + plain + "\n",
			[]string{"FAIL provider default: client_key_file: FOLDER/plain: "},
			true,
		},
		"no key for the algorithm": {
			"    client_auth: private_key_jwt\n    client_key_file: " + files.key + "\n    request_object_signing_alg: PS256\n",
			[]string{"ok   provider default: client keys of FOLDER/client.key", "FAIL provider default: "},
			true,
		},
		"certificate": {
			fmt.Sprintf("    client_auth: tls_client_auth\n    client_cert_file: %s\n    client_key_file: %s\n", files.cert, files.key),
			[]string{
				"ok   provider default: client certificate FOLDER/client.crt, valid until " + leaf.current.Leaf.NotAfter.Format(time.DateOnly),
				unasked,
			},
			false,
		},
		"no certificate": {
			fmt.Sprintf("    client_auth: tls_client_auth\n    client_cert_file: %s\n    client_key_file: %s\n", plain, files.key),
			[]string{"FAIL provider default: client_cert_file: FOLDER/plain with FOLDER/client.key: "},
			true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			lines, ok := runCheck(t, checked{issuer: "https://" + nobody(t), secret: test.secret}.file(t), true)
			lines = slices.DeleteFunc(lines, func(line string) bool { return !strings.Contains(line, " provider ") })
			if ok == test.bad || len(lines) != len(test.want) {
				t.Fatalf("ok is %v, got:\n%s", ok, strings.Join(lines, "\n"))
			}
			for i, line := range lines {
				if line = strings.ReplaceAll(line, folder, "FOLDER"); !strings.HasPrefix(line, test.want[i]) || strings.Contains(line, "hunter2") {
					t.Errorf("got %s\nwant %s", line, test.want[i])
				}
			}
		})
	}
}

// CA-06: an audience that another OP can name needs a key for each OP, and a copy in another file is the same key. What
// check says of it is what keeps serve from starting. A key for decryption signs nothing.
func TestCopiedClientKeys(t *testing.T) {
	own, other := clientKeys(t), clientKeys(t)
	write := func(edit func(jose.JSONWebKeySet) []jose.JSONWebKey) string {
		var set jose.JSONWebKeySet
		if err := json.Unmarshal(read(t, own), &set); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(jose.JSONWebKeySet{Keys: edit(set)})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "copy.jwk")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	copied := write(func(set jose.JSONWebKeySet) []jose.JSONWebKey { set.Keys[0].KeyID = "renamed"; return set.Keys })
	decryption := write(func(set jose.JSONWebKeySet) []jose.JSONWebKey {
		var another jose.JSONWebKeySet
		if err := json.Unmarshal(read(t, other), &another); err != nil {
			t.Fatal(err)
		}
		return []jose.JSONWebKey{another.Keys[0], set.Keys[1]}
	})
	const legacy, issuer = "token_endpoint", "issuer"
	for name, test := range map[string]struct {
		first, second string // audiences
		file          string // of the second
		refused       bool
	}{
		"first is old":      {legacy, issuer, copied, true},
		"second is old":     {issuer, legacy, copied, true},
		"none is old":       {issuer, issuer, copied, false},
		"keys of their own": {legacy, legacy, other, false},
		"decryption":        {legacy, legacy, decryption, false},
	} {
		t.Run(name, func(t *testing.T) {
			provider := func(file, audience string) string {
				return fmt.Sprintf("    client_auth: private_key_jwt\n    client_key_file: %s\n    client_assertion_audience: %s\n",
					file, audience)
			}
			file := checked{
				issuer: "http://" + nobody(t),
				secret: provider(own, test.first),
				provider: "  - name: two\n    issuer: http://" + nobody(t) + "\n    client_id: app\n" +
					provider(test.file, test.second),
			}.file(t)
			const want = "provider two: client_key_file: "
			lines, ok := runCheck(t, file, true)
			text := strings.Join(lines, "\n")
			if ok == test.refused || strings.Contains(text, "FAIL client keys: "+want) != test.refused {
				t.Errorf("check: ok is %v, got:\n%s", ok, text)
			}
			config, err := Load(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = New(config, Options{Logger: slog.New(slog.DiscardHandler)})
			if refused := err != nil && strings.HasPrefix(err.Error(), want); refused != test.refused {
				t.Errorf("serve: %v", err)
			}
		})
	}
}

// What is wrong with the file of the client keys is said once, and nobody is told to write over a key that is there.
func TestClientKeyAdvice(t *testing.T) {
	folder := t.TempDir()
	for name, want := range map[string]string{
		"none": "client_key_file: stat none: no such file or directory; write the output of `cloakroom keygen client` or a private key in PEM form into it",
		".":    "client_key_file: read .: is a directory; name a file that this process may read",
	} {
		p := Provider{ClientAuth: "private_key_jwt", ClientKeyFile: filepath.Join(folder, name)}
		_, err := p.clientKeys(slog.New(slog.DiscardHandler))
		if err == nil || strings.NewReplacer(folder+"/", "", folder, ".").Replace(err.Error()) != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

// With a document that is as it should be, a missing key is not the fault of the issuer.
func TestCheckNoKeyForTheAlgorithm(t *testing.T) {
	op := startOP(t)
	op.Fault(optest.WithoutMetadata("id_token_signing_alg_values_supported"))
	lines, ok := runCheck(t, checked{issuer: op.URL, provider: "    id_token_signing_alg: EdDSA\n"}.file(t), false)
	const want = "/jwks holds no key for the signing algorithm EdDSA; " +
		"set id_token_signing_alg to the registered one, or ask the operator of the OP"
	if ok || !slices.ContainsFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, "FAIL provider default: ") && strings.HasSuffix(line, want)
	}) {
		t.Errorf("ok is %v, got:\n%s\nwant %s", ok, strings.Join(lines, "\n"), want)
	}
}
