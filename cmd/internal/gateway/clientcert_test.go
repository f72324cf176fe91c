package gateway

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom/cloakroom/bff"
	"github.com/cloakroom/cloakroom/bff/optest"
	"github.com/cloakroom/cloakroom/session/secret"
)

// certPair is a client certificate with its key, in files.
type certPair struct{ cert, key string }

func (p certPair) write(t *testing.T, commonName string) {
	t.Helper()
	certificate, err := optest.SelfSignedCertificate(commonName)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := optest.EncodeCertificate(certificate)
	for file, data := range map[string][]byte{p.cert: cert, p.key: key} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func newPair(t *testing.T, commonName string) certPair {
	t.Helper()
	folder := t.TempDir()
	p := certPair{filepath.Join(folder, "client.crt"), filepath.Join(folder, "client.key")}
	p.write(t, commonName)
	return p
}

// visitor starts a server that answers with the common name of the client certificate, and returns a function that
// asks it with the transport of a provider, on a new connection.
func visitor(t *testing.T, p *Provider, log *slog.Logger) func() string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if shown := r.TLS.PeerCertificates; len(shown) > 0 {
			io.WriteString(w, shown[0].Subject.CommonName)
		}
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	p.Issuer, p.CAFile = server.URL, filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(p.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := p.clientConfig(bff.URLs{Public: parseURL(t, "https://localhost"), BasePath: "/bff"}, true, log)
	if err != nil {
		t.Fatal(err)
	}
	return func() string {
		config.HTTPClient.CloseIdleConnections()
		res, err := config.HTTPClient.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
}

// issue 3, 2: a client certificate is renewed without a restart, and a bad one does not take the place of a good one.
func TestClientCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	files := newPair(t, "first")
	var log bytes.Buffer
	ask := visitor(t, &Provider{
		Name: "default", ClientAuth: "tls_client_auth", ClientCertFile: files.cert, ClientKeyFile: files.key,
	}, slog.New(slog.NewTextHandler(&log, nil)))
	if got := ask(); got != "first" {
		t.Errorf("at first: %q", got)
	}
	files.write(t, "second")
	if got := ask(); got != "second" {
		t.Errorf("after a new pair: %q", got)
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", log.String())
	}

	other := newPair(t, "third")
	for _, test := range []struct {
		name  string
		spoil func() error
	}{
		{"certificate of another key", func() error { return os.Rename(other.cert, files.cert) }},
		{"no certificate", func() error { return os.WriteFile(files.cert, []byte("hunter2"), 0o600) }},
		{"no file", func() error { return os.Remove(files.cert) }},
	} {
		log.Reset()
		if err := test.spoil(); err != nil {
			t.Fatal(err)
		}
		if got := ask(); got != "second" {
			t.Errorf("%s: %q", test.name, got)
		}
		if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "client_cert_file: ") || strings.Contains(text, "hunter2") {
			t.Errorf("%s: logged %q", test.name, text)
		}
	}
	files.write(t, "fourth")
	if got := ask(); got != "fourth" {
		t.Errorf("after the repair: %q", got)
	}
}

// A provider with another method shows no certificate, even to an OP that would take one.
func TestClientCertificateIsOfOneProvider(t *testing.T) {
	t.Parallel()
	if got := visitor(t, &Provider{
		Name: "default", ClientAuth: "client_secret_basic", ClientSecret: secret.New("s"),
	}, slog.New(slog.DiscardHandler))(); got != "" {
		t.Errorf("it showed %q", got)
	}
}

// What is wrong with the files of a provider is said at the start, with the key that names them; all of it at once.
func TestProviderFiles(t *testing.T) {
	t.Parallel()
	good, other := newPair(t, "good"), newPair(t, "other")
	folder := filepath.Dir(good.cert)
	plain := filepath.Join(folder, "plain")
	if err := os.WriteFile(plain, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(folder, "none")
	mTLS := func(cert, key string) Provider {
		return Provider{ClientAuth: "tls_client_auth", ClientCertFile: cert, ClientKeyFile: key}
	}
	for name, test := range map[string]struct {
		Provider
		want []string
	}{
		"no certificate":   {mTLS(none, good.key), []string{"client_cert_file: open FOLDER/none: no such file or directory; name a file"}},
		"no key":           {mTLS(good.cert, none), []string{"client_key_file: open FOLDER/none: no such file or directory; name a file"}},
		"another's key":    {mTLS(good.cert, other.key), []string{"client_cert_file: FOLDER/client.crt with ", "does not match", "; name a certificate and its own"}},
		"no PEM":           {mTLS(plain, good.key), []string{"client_cert_file: FOLDER/plain with ", "PEM", "; name a certificate and its own"}},
		"no client key":    {Provider{ClientAuth: "private_key_jwt", ClientKeyFile: none}, []string{"client_key_file: ", "no such file"}},
		"not a client key": {Provider{ClientAuth: "private_key_jwt", ClientKeyFile: plain}, []string{"client_key_file: FOLDER/plain: ", "keygen client"}},
		"no CA":            {Provider{CAFile: none}, []string{"ca_file: open FOLDER/none: no such file or directory; name a file"}},
		"not a CA":         {Provider{CAFile: good.key}, []string{"ca_file: FOLDER/client.key holds no certificate"}},
		"everything": {
			Provider{ClientAuth: "tls_client_auth", ClientCertFile: none, ClientKeyFile: plain, RequestObjectSigningAlg: "ES256", CAFile: none},
			[]string{"ca_file: ", "client_key_file: ", "client_cert_file: "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.clientConfig(bff.URLs{Public: parseURL(t, "https://localhost"), BasePath: "/bff"}, true, slog.New(slog.DiscardHandler))
			if err == nil {
				t.Fatal("no error")
			}
			text := strings.ReplaceAll(err.Error(), folder, "FOLDER")
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("got %s\nwant %s", text, want)
				}
			}
			if strings.Contains(text, "hunter2") {
				t.Errorf("it shows the content of a file: %s", text)
			}
		})
	}
}

func TestClientCertificateDescribe(t *testing.T) {
	t.Parallel()
	files := newPair(t, "app")
	c, err := openClientCertificate(files.cert, files.key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	until := c.current.Leaf.NotAfter
	good, err := c.describe(until.Add(-time.Minute))
	if want := "client certificate " + files.cert + ", valid until " + until.Format(time.DateOnly); good != want || err != nil {
		t.Errorf("got %q, %v\nwant %q", good, err, want)
	}
	for _, now := range []time.Time{until.Add(time.Second), c.current.Leaf.NotBefore.Add(-time.Second)} {
		if _, err := c.describe(now); err == nil || !strings.HasPrefix(err.Error(), "client_cert_file: ") {
			t.Errorf("at %s: %v", now, err)
		}
	}
}
