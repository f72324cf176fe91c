package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// keyCooldown is the least time between two fetches for a kid nobody has heard of, so that a stream of forged
	// tokens does not become a stream of requests to the OP.
	keyCooldown    = 30 * time.Second
	maxMetadata    = 256 << 10 // bytes of a discovery document or a key set
	metadataBudget = 5 * time.Second
)

var errUnknownKey = errors.New("signed with a key that the OP does not publish")

// keySet holds the public signing keys of one OP, by kid.
type keySet struct {
	url    string
	client *http.Client
	now    func() time.Time

	byID     atomic.Pointer[map[string]jose.JSONWebKey]
	fetching sync.Mutex // one fetch at a time; guards triedAt
	triedAt  time.Time
}

// discoverKeys reads the OP's metadata (OpenID Connect Discovery 1.0 §4) and then its keys.
func discoverKeys(ctx context.Context, client *http.Client, issuer string, now func() time.Time) (*keySet, error) {
	var metadata struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := getJSON(ctx, client, issuer+"/.well-known/openid-configuration", &metadata); err != nil {
		return nil, err
	}
	if metadata.Issuer != issuer { // Discovery §4.3
		return nil, fmt.Errorf("the metadata of %s names the issuer %q", issuer, metadata.Issuer)
	}
	k := &keySet{url: metadata.JWKSURI, client: client, now: now}
	k.byID.Store(&map[string]jose.JSONWebKey{})
	return k, k.fetch(ctx)
}

// key returns the key named kid. A kid that is not in the set makes it fetch the set again, at most once in
// keyCooldown. The error is errUnknownKey, or says why the OP could not be asked.
func (k *keySet) key(ctx context.Context, kid string) (jose.JSONWebKey, error) {
	if key, ok := (*k.byID.Load())[kid]; ok {
		return key, nil
	}
	k.fetching.Lock()
	defer k.fetching.Unlock()
	if key, ok := (*k.byID.Load())[kid]; ok { // somebody else fetched it meanwhile
		return key, nil
	}
	if !k.triedAt.IsZero() && k.now().Sub(k.triedAt) < keyCooldown {
		return jose.JSONWebKey{}, errUnknownKey
	}
	k.triedAt = k.now()
	// The result serves everybody, so a caller that goes away does not stop it.
	if err := k.fetch(context.WithoutCancel(ctx)); err != nil {
		return jose.JSONWebKey{}, err
	}
	if key, ok := (*k.byID.Load())[kid]; ok {
		return key, nil
	}
	return jose.JSONWebKey{}, errUnknownKey
}

// fetch replaces the set. It decodes key by key: one key of a kind that go-jose does not know would spoil the rest.
func (k *keySet) fetch(ctx context.Context) error {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := getJSON(ctx, k.client, k.url, &set); err != nil {
		return err
	}
	byID := make(map[string]jose.JSONWebKey, len(set.Keys))
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) != nil || !key.IsPublic() || key.KeyID == "" || key.Use == "enc" {
			continue
		}
		byID[key.KeyID] = key
	}
	k.byID.Store(&byID)
	return nil
}

func getJSON(ctx context.Context, client *http.Client, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, metadataBudget)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, res.Status)
	}
	return json.NewDecoder(io.LimitReader(res.Body, maxMetadata)).Decode(into)
}
