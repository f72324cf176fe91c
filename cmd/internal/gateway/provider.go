package gateway

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"

	"github.com/cloakroom/cloakroom/bff"
	"github.com/cloakroom/cloakroom/bff/rp"
)

func (g *Gateway) newProviders() (bff.Providers, error) {
	var providers bff.Providers
	clients := make([]*rp.Client, len(g.config.Providers))
	for i, p := range g.config.Providers {
		config, err := p.clientConfig(g.urls, i == 0, g.log.With("provider", p.Name))
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", p.Name, err)
		}
		config.HTTPClient.Transport = g.tracing.transport("op", g.metrics.transport(p.Name, config.HTTPClient.Transport), false)
		config.Now = g.now
		client, err := rp.New(config)
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", p.Name, err)
		}
		providers = append(providers, bff.Provider{Name: p.Name, Client: client, LoginParams: p.LoginParams})
		clients[i] = client
	}
	if err := g.config.refuseCopiedKeys(clients); err != nil {
		return nil, err
	}
	return providers, nil
}

// refuseCopiedKeys is CA-06 for keys in different files: validateDistinctKeys sees their names only. A client may be
// nil. A key that is copied while the gateway runs is noticed at the next start.
func (c *Config) refuseCopiedKeys(clients []*rp.Client) error {
	owner := map[string]*Provider{} // of each key, by its thumbprint (RFC 7638)
	for i, client := range clients {
		if client == nil {
			continue
		}
		p := &c.Providers[i]
		for _, key := range client.PublicKeys().Keys {
			if key.Use != "sig" {
				continue
			}
			thumbprint, err := key.Thumbprint(crypto.SHA256)
			if err != nil {
				return fmt.Errorf("provider %s: client_key_file: %w", p.Name, err)
			}
			first, known := owner[string(thumbprint)]
			switch {
			case !known:
				owner[string(thumbprint)] = p
			case first != p && (first.AssertionAudience == legacyAudience || p.AssertionAudience == legacyAudience):
				return fmt.Errorf("provider %s: client_key_file: %s has a key of provider %s, but client_assertion_audience: "+
					"token_endpoint needs one for each OP; write another key into it", p.Name, p.ClientKeyFile, first.Name)
			}
		}
	}
	return nil
}

// clientConfig is the relying party's part of a provider's configuration. It reads the files that are named in it.
func (p *Provider) clientConfig(urls bff.URLs, first bool, log *slog.Logger) (rp.Config, error) {
	roots, noRoots := p.roots()
	keys, noKeys := p.clientKeys(log)
	certificate, noCertificate := p.clientCertificate(log)
	if err := errors.Join(noRoots, noKeys, noCertificate); err != nil {
		return rp.Config{}, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil                        // PX-18: no proxy that the configuration does not name
	transport.MaxResponseHeaderBytes = 256 << 10 // FLOW-33; the default is 10 MB
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	if certificate != nil {
		transport.TLSClientConfig.GetClientCertificate = certificate.get
	}
	return rp.Config{
		Issuer:                p.Issuer,
		ClientID:              p.ClientID,
		ClientAuth:            rp.ClientAuth(p.ClientAuth),
		ClientSecret:          p.ClientSecret,
		Keys:                  keys,
		LegacyAudience:        p.AssertionAudience == legacyAudience,
		RedirectURI:           urls.Callback(p.Name, first),
		PostLogoutRedirectURI: urls.LogoutCallback(),
		Scopes:                p.Scopes,
		SigningAlg:            p.IDTokenSigningAlg,
		TrustedAudiences:      p.TrustedAudiences,
		Userinfo:              rp.UserinfoMode(p.Userinfo),
		AuthorizationParams:   p.AuthorizationParams,
		Resource:              p.Resource,
		AuthorizationDetails:  p.AuthorizationDetails,
		PushedRequests:        rp.PushedRequests(p.PushedRequests),
		RequestObjectAlg:      p.RequestObjectSigningAlg,
		ResponseMode:          rp.ResponseMode(p.ResponseMode),
		ResponseSigningAlg:    p.ResponseSigningAlg,
		UserinfoSigningAlg:    p.UserinfoSigningAlg,
		IDTokenEncryption:     p.IDTokenEncryption,
		UserinfoEncryption:    p.UserinfoEncryption,
		ResponseEncryption:    p.ResponseEncryption,
		UntypedLogoutTokens:   p.UntypedLogoutTokens,
		HTTPClient:            &http.Client{Transport: transport},
		Logger:                log,
	}, nil
}

// roots are the CAs that the OP's certificate may be from; nil for those of the system.
func (p *Provider) roots() (*x509.CertPool, error) {
	if p.CAFile == "" {
		return nil, nil
	}
	const must = "name a file with the certificate of the OP's CA"
	pem, err := readFile(p.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w; %s", err, must)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file: %s holds no certificate in PEM form; %s", p.CAFile, must)
	}
	return roots, nil
}

// clientKeys are nil where nothing is signed by us nor encrypted to us. The key of mTLS alone is no business of the
// relying party.
func (p *Provider) clientKeys(log *slog.Logger) (*rp.ClientKeys, error) {
	if setting, _ := p.keyUser(); setting == "" {
		return nil, nil
	}
	keys, err := rp.OpenClientKeys(p.ClientKeyFile, log)
	switch _, unread := errors.AsType[*fs.PathError](err); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("client_key_file: %w; write the output of `cloakroom keygen client` or a private key in PEM "+
			"form into it", err)
	case unread:
		return nil, fmt.Errorf("client_key_file: %w; name a file that this process may read", err)
	case err != nil:
		return nil, fmt.Errorf("client_key_file: %w", err)
	}
	return keys, nil
}

// clientCertificate is nil unless the client authentication is mTLS.
func (p *Provider) clientCertificate(log *slog.Logger) (*clientCertificate, error) {
	if !p.usesMTLS() {
		return nil, nil
	}
	return openClientCertificate(p.ClientCertFile, p.ClientKeyFile, log)
}
