package optest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// A key signs with one algorithm.
type key struct {
	id      string
	alg     string
	signer  crypto.Signer
	secret  []byte // of HS256, in place of signer; such a key has no id
	retired bool   // no longer in the JWKS
}

// otherAlg is the second algorithm that an OP has a key for from the start.
func otherAlg(alg string) string {
	if alg == "ES256" {
		return "RS256"
	}
	return "ES256"
}

func newKeys(algs ...string) ([]*key, error) {
	var keys []*key
	for _, alg := range algs {
		k, err := newKey(alg)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func newKey(alg string) (*key, error) {
	k := &key{id: rand.Text(), alg: alg}
	var err error
	switch alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		k.signer, err = takeRSAKey()
	case "ES256":
		k.signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		k.signer, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "EdDSA":
		_, k.signer, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("optest: signing algorithm %q is not supported", alg)
	}
	return k, err
}

// spareRSA is a pool: making an RSA key takes a good part of a second under the race detector, which adds up over the
// tests of a package. Servers give theirs back when their test ends; no two OPs of the same time share one.
var spareRSA struct {
	mu   sync.Mutex
	keys []crypto.Signer
}

func takeRSAKey() (crypto.Signer, error) {
	spareRSA.mu.Lock()
	defer spareRSA.mu.Unlock()
	if n := len(spareRSA.keys); n > 0 {
		k := spareRSA.keys[n-1]
		spareRSA.keys = spareRSA.keys[:n-1]
		return k, nil
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}

func (op *OP) releaseKeys() {
	spareRSA.mu.Lock()
	defer spareRSA.mu.Unlock()
	for _, k := range op.allKeys() {
		if _, ok := k.signer.(*rsa.PrivateKey); ok {
			spareRSA.keys = append(spareRSA.keys, k.signer)
		}
	}
}

// strangers are keys that belong to nobody, for forgeries; one for each algorithm is enough.
var strangers struct {
	mu   sync.Mutex
	keys map[string]*key
}

func strangerKey(alg string) (*key, error) {
	strangers.mu.Lock()
	defer strangers.mu.Unlock()
	if k := strangers.keys[alg]; k != nil {
		return k, nil
	}
	k, err := newKey(alg)
	if err != nil {
		return nil, err
	}
	if strangers.keys == nil {
		strangers.keys = map[string]*key{}
	}
	strangers.keys[alg] = k
	return k, nil
}

// makeKeys makes the keys that a client's registration needs, so that they are published before they are used.
func (op *OP) makeKeys(c Client) error {
	for _, alg := range []string{c.IDTokenAlg, c.UserInfoAlg, c.ResponseAlg} {
		if alg == "" {
			continue
		}
		if _, err := op.signingKey(c, alg); err != nil {
			return err
		}
	}
	return nil
}

// signingKey returns the newest key of an algorithm and makes it if there is none.
func (op *OP) signingKey(c Client, alg string) (*key, error) {
	if alg == "HS256" {
		return &key{alg: alg, secret: []byte(c.Secret)}, nil
	}
	op.mu.Lock()
	defer op.mu.Unlock()
	for _, k := range op.keys {
		if k.alg == alg {
			return k, nil
		}
	}
	k, err := newKey(alg)
	if err != nil {
		return nil, err
	}
	op.keys = append(op.keys, k)
	return k, nil
}

// keyOfOtherAlg returns a published key; there are always two algorithms.
func (op *OP) keyOfOtherAlg(alg string) *key {
	keys := op.allKeys()
	return keys[slices.IndexFunc(keys, func(k *key) bool { return k.alg != alg })]
}

// RotateKeys makes new keys and signs with them from now on. The old ones stay in the JWKS until RetireKeys.
func (op *OP) RotateKeys() error {
	op.mu.Lock()
	defer op.mu.Unlock()
	keys, err := newKeys(op.algs()...)
	if err != nil {
		return err
	}
	op.keys = append(keys, op.keys...)
	return nil
}

// RetireKeys takes all keys but the newest of each algorithm out of the JWKS.
func (op *OP) RetireKeys() {
	op.mu.Lock()
	defer op.mu.Unlock()
	newest := map[string]bool{}
	for _, k := range op.keys {
		k.retired = newest[k.alg]
		newest[k.alg] = true
	}
}

// algs lists the algorithms that there are keys for. It needs op.mu.
func (op *OP) algs() []string {
	var algs []string
	for _, k := range op.keys {
		if !slices.Contains(algs, k.alg) {
			algs = append(algs, k.alg)
		}
	}
	return algs
}

func (op *OP) allKeys() []*key {
	op.mu.Lock()
	defer op.mu.Unlock()
	return slices.Clone(op.keys)
}

// jwk returns the public key in the form of RFC 7517, as a map so that a fault can edit it.
func (k *key) jwk() (map[string]any, error) {
	return jwkMap(jose.JSONWebKey{Key: k.signer.Public(), KeyID: k.id, Algorithm: k.alg, Use: "sig"})
}

func jwkMap(k jose.JSONWebKey) (map[string]any, error) {
	text, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	m := map[string]any{}
	return m, json.Unmarshal(text, &m)
}

func (op *OP) jwks() (JWKS, error) {
	op.mu.Lock()
	defer op.mu.Unlock()
	var set JWKS
	for _, k := range op.keys {
		if k.retired {
			continue
		}
		m, err := k.jwk()
		if err != nil {
			return nil, err
		}
		set = append(set, m)
	}
	return set, nil
}

func (op *OP) serveJWKS(w http.ResponseWriter, r *http.Request) {
	set, err := op.jwks()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for _, f := range op.activeFaults(r) {
		if f.jwks != nil {
			set = f.jwks(set)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"keys": set})
}
