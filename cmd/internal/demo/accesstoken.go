package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	accessTokenAlg = jose.RS256
	clockLeeway    = 5 * time.Second
	maxTokenLength = 8 << 10
)

// errInvalidToken covers everything that makes a token worthless to this API (RFC 6750 §3.1, invalid_token).
var errInvalidToken = errors.New("invalid access token")

// accessToken is what the API wants to know of a token it has verified.
type accessToken struct {
	Subject   string
	Scopes    []string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// verifier checks access tokens as RFC 9068 §4 asks. It needs the OP's public keys and nothing else: no call to the
// OP for each request, and no trust in the gateway that delivers the token.
type verifier struct {
	issuer   string
	audience string
	keys     *keySet
	now      func() time.Time
}

// verify returns the contents of a token that is good for this API now. A refused token gives an error that wraps
// errInvalidToken; any other error means that the keys could not be fetched.
func (v *verifier) verify(ctx context.Context, token string) (*accessToken, error) {
	if len(token) > maxTokenLength {
		return nil, fmt.Errorf("%w: too long", errInvalidToken)
	}
	// The algorithm is ours to choose, not the token's (RFC 8725 §3.1).
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{accessTokenAlg})
	if err != nil {
		return nil, fmt.Errorf("%w: not a JWT signed with %s", errInvalidToken, accessTokenAlg)
	}
	header := jws.Signatures[0].Protected
	// An ID token of the same OP carries the same kind of signature; the type tells the two apart (RFC 9068 §4).
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	if typ = strings.ToLower(typ); typ != "at+jwt" && typ != "application/at+jwt" {
		return nil, fmt.Errorf("%w: typ is not at+jwt", errInvalidToken)
	}
	key, err := v.keys.key(ctx, header.KeyID)
	if errors.Is(err, errUnknownKey) {
		return nil, fmt.Errorf("%w: %w", errInvalidToken, err)
	}
	if err != nil {
		return nil, err
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return nil, fmt.Errorf("%w: wrong signature", errInvalidToken)
	}
	return v.checkClaims(payload)
}

func (v *verifier) checkClaims(payload []byte) (*accessToken, error) {
	var claims struct {
		jwt.Claims
		Scope string `json:"scope"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, fmt.Errorf("%w: malformed claims", errInvalidToken)
	}
	now := v.now()
	switch {
	case claims.Issuer != v.issuer:
		return nil, fmt.Errorf("%w: issued by somebody else", errInvalidToken)
	case !slices.Contains(claims.Audience, v.audience):
		return nil, fmt.Errorf("%w: meant for another API", errInvalidToken)
	case claims.Expiry == nil || !now.Before(claims.Expiry.Time().Add(clockLeeway)):
		return nil, fmt.Errorf("%w: expired", errInvalidToken)
	case claims.NotBefore != nil && now.Add(clockLeeway).Before(claims.NotBefore.Time()):
		return nil, fmt.Errorf("%w: not valid yet", errInvalidToken)
	case claims.IssuedAt == nil: // RFC 9068 §2.2
		return nil, fmt.Errorf("%w: no iat", errInvalidToken)
	case claims.Subject == "":
		return nil, fmt.Errorf("%w: no sub", errInvalidToken)
	}
	return &accessToken{
		Subject:   claims.Subject,
		Scopes:    strings.Fields(claims.Scope),
		IssuedAt:  claims.IssuedAt.Time(),
		ExpiresAt: claims.Expiry.Time(),
	}, nil
}
