package optest_test

import (
	"encoding/base64"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/cloakroom/cloakroom/bff/optest"
)

// observed is all that a client can see of the OP in one login and one refresh.
type observed struct {
	issuer   string
	metadata map[string]any
	keys     []map[string]any
	callback url.Values

	token, refreshed map[string]any // token responses, empty without a code
	idToken          jws            // of token
	refreshedIDToken jws
	userInfo         map[string]any
}

// A jws is an ID token taken apart. good tells that it is signed by a published key whose kid it names.
type jws struct {
	header, claims map[string]any
	good           bool
}

func (p *party) observe() observed {
	p.Helper()
	o := observed{issuer: p.op.Issuer(), metadata: p.ok(p.get(p.op.EndpointURL(optest.MetadataEndpoint)))}
	jwks := p.get(p.op.EndpointURL(optest.JWKSEndpoint)).body
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(jwks), &set); err != nil {
		p.Fatal(err)
	}
	o.keys = set.Keys
	o.callback = p.callback(p.authorize("acr_values", "pwd", "max_age", "3600"))
	if !o.callback.Has("code") {
		return o
	}
	o.token = p.ok(p.tokenRequest(codeForm(o.callback.Get("code"))))
	o.idToken = open(o.token["id_token"], jwks)
	if o.token["access_token"] != nil {
		o.userInfo = p.ok(p.userInfo(o.token["access_token"]))
	}
	if o.token["refresh_token"] != nil {
		o.refreshed = p.ok(p.tokenRequest(refreshForm(o.token["refresh_token"])))
		o.refreshedIDToken = open(o.refreshed["id_token"], jwks)
	}
	return o
}

func open(token any, jwks string) jws {
	text, _ := token.(string)
	header, claims := decode(text)
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{"RS256", "ES256"})
	if err != nil {
		return jws{header, claims, false}
	}
	var set jose.JSONWebKeySet
	_ = json.Unmarshal([]byte(jwks), &set)
	return jws{header, claims, parsed.Claims(set, new(map[string]any)) == nil}
}

// fromNow converts a date of a token to the time between it and now.
func fromNow(date any) time.Duration {
	seconds, _ := date.(float64)
	return time.Until(time.Unix(int64(seconds), 0)).Round(time.Hour)
}

func allKeys(o observed, is func(map[string]any) bool) bool {
	for _, k := range o.keys {
		if !is(k) {
			return false
		}
	}
	return true
}

type sign func(o observed) bool

func claimIs(name string, value any) sign {
	return func(o observed) bool { return o.idToken.claims[name] == value }
}

func noClaim(name string) sign {
	return func(o observed) bool { _, ok := o.idToken.claims[name]; return o.idToken.claims != nil && !ok }
}

func claimFromNow(name string, d time.Duration) sign {
	return func(o observed) bool { return fromNow(o.idToken.claims[name]) == d }
}

func headerIs(name string, value any) sign {
	return func(o observed) bool { return o.idToken.header[name] == value }
}

func metadataIs(name string, value any) sign {
	return func(o observed) bool { return o.metadata[name] == value }
}

func tokenIs(name string, value any) sign {
	return func(o observed) bool { return o.token[name] == value }
}

func noTokenMember(name string) sign {
	return func(o observed) bool { return o.token != nil && o.token[name] == nil }
}

func callbackIs(name, value string) sign {
	return func(o observed) bool { return o.callback.Get(name) == value }
}

// faults is every exported fault by its name in the source, and how a client sees it.
var faults = map[string]struct {
	fault optest.Fault
	seen  sign
}{
	"WrongIssuer": {optest.WrongIssuer, claimIs("iss", "https://op.invalid")},
	"IssuerTrailingSlash": {optest.IssuerTrailingSlash, func(o observed) bool {
		return o.idToken.claims["iss"] == o.issuer+"/"
	}},
	"NoIssuer":      {optest.NoIssuer, noClaim("iss")},
	"NoAudience":    {optest.NoAudience, noClaim("aud")},
	"OtherAudience": {optest.OtherAudience, claimIs("aud", "another-client")},
	"AudienceArray": {optest.AudienceArray, func(o observed) bool {
		aud, _ := o.idToken.claims["aud"].([]any)
		return len(aud) == 1 && aud[0] == "app"
	}},
	"ExtraAudience": {optest.ExtraAudience, func(o observed) bool {
		aud, _ := o.idToken.claims["aud"].([]any)
		return len(aud) == 2 && aud[0] == "app" && aud[1] == "another-client"
	}},
	"OtherAzp":     {optest.OtherAzp, claimIs("azp", "another-client")},
	"NoSubject":    {optest.NoSubject, noClaim("sub")},
	"EmptySubject": {optest.EmptySubject, claimIs("sub", "")},
	"LongSubject":  {optest.LongSubject, claimIs("sub", strings.Repeat("a", 256))},
	"OtherSubject": {optest.OtherSubject, claimIs("sub", "another-user")},
	"LogoutEvents": {optest.LogoutEvents, func(o observed) bool { return o.idToken.claims["events"] != nil }},

	"Expired":        {optest.Expired, claimFromNow("exp", -time.Hour)},
	"NoExpiry":       {optest.NoExpiry, noClaim("exp")},
	"NoIssuedAt":     {optest.NoIssuedAt, noClaim("iat")},
	"IssuedInFuture": {optest.IssuedInFuture, claimFromNow("iat", 24*time.Hour)},
	"IssuedLongAgo":  {optest.IssuedLongAgo, claimFromNow("iat", -365*24*time.Hour)},
	"NotYetValid":    {optest.NotYetValid, claimFromNow("nbf", 24*time.Hour)},
	"FractionalDates": {optest.FractionalDates, func(o observed) bool {
		exp, _ := o.idToken.claims["exp"].(float64)
		return exp != float64(int64(exp))
	}},
	"NoNonce":    {optest.NoNonce, noClaim("nonce")},
	"OtherNonce": {optest.OtherNonce, claimIs("nonce", "another-nonce")},
	"SameNonce": {optest.SameNonce, func(o observed) bool {
		return o.idToken.claims["nonce"] == "nonce-1" && o.refreshedIDToken.claims["nonce"] == "nonce-1"
	}},
	"NoAuthTime":    {optest.NoAuthTime, noClaim("auth_time")},
	"StaleAuthTime": {optest.StaleAuthTime, claimFromNow("auth_time", -48*time.Hour)},
	"OtherACR":      {optest.OtherACR, claimIs("acr", "another-acr")},
	"NoACR":         {optest.NoACR, noClaim("acr")},

	"NoIDToken": {optest.NoIDToken, noTokenMember("id_token")},
	"WrongAtHash": {optest.WrongAtHash, func(o observed) bool {
		return o.idToken.claims["at_hash"] != atHash(o.token)
	}},
	"NoAtHash":     {optest.NoAtHash, noClaim("at_hash")},
	"BadSignature": {optest.BadSignature, func(o observed) bool { return !o.idToken.good }},
	"OtherAlg": {optest.OtherAlg, func(o observed) bool {
		return o.idToken.header["alg"] == "ES256" && o.idToken.good
	}},
	"AlgNone":           {optest.AlgNone, headerIs("alg", "none")},
	"AlgNoneOddCase":    {optest.AlgNoneOddCase, headerIs("alg", "nOnE")},
	"AlgHS256PublicKey": {optest.AlgHS256PublicKey, headerIs("alg", "HS256")},
	"EmbeddedJWK": {optest.EmbeddedJWK, func(o observed) bool {
		jwk, _ := o.idToken.header["jwk"].(map[string]any)
		return jwk["kty"] == "RSA" && !o.idToken.good
	}},
	"NoKid": {optest.NoKid, func(o observed) bool {
		return o.idToken.header["alg"] == "RS256" && o.idToken.header["kid"] == nil
	}},
	"UnknownKid": {optest.UnknownKid, func(o observed) bool {
		return !strings.Contains(kids(o), o.idToken.header["kid"].(string))
	}},
	"UnknownCrit":       {optest.UnknownCrit, func(o observed) bool { return o.idToken.header["crit"] != nil }},
	"TypeLogout":        {optest.TypeLogout, headerIs("typ", "logout+jwt")},
	"TypeAccess":        {optest.TypeAccess, headerIs("typ", "at+jwt")},
	"TypeDPoP":          {optest.TypeDPoP, headerIs("typ", "dpop+jwt")},
	"TypeRequestObject": {optest.TypeRequestObject, headerIs("typ", "oauth-authz-req+jwt")},
	"TypeIntrospection": {optest.TypeIntrospection, headerIs("typ", "token-introspection+jwt")},
	"NoType": {optest.NoType, func(o observed) bool {
		_, ok := o.idToken.header["typ"]
		return o.idToken.good && !ok
	}},
	"TwoSubjects": {optest.TwoSubjects, func(o observed) bool {
		parts := strings.Split(o.token["id_token"].(string), ".")
		text, _ := base64.RawURLEncoding.DecodeString(parts[1])
		return strings.Count(string(text), `"sub":`) == 2
	}},
	"ExtraPart": {optest.ExtraPart, func(o observed) bool {
		token, _ := o.token["id_token"].(string)
		return strings.Count(token, ".") == 3
	}},
	"TypeLogoutOddCase": {optest.TypeLogoutOddCase, headerIs("typ", "application/Logout+JWT")},
	"TypeOddCase":       {optest.TypeOddCase, headerIs("typ", "jWt")},
	"OversizedToken": {optest.OversizedToken, func(o observed) bool {
		return len(o.token["id_token"].(string)) > 1<<20
	}},
	"UnknownClaims": {optest.UnknownClaims, func(o observed) bool {
		return o.idToken.claims["urn:optest:claim"] != nil
	}},
	"WeakKey": {optest.WeakKey, func(o observed) bool {
		return o.idToken.header["kid"] == "weak" && len(o.keys) == 3 && o.keys[2]["kid"] == "weak" &&
			len(o.keys[2]["n"].(string)) == base64.RawURLEncoding.EncodedLen(128)
	}},

	"MetadataOtherIssuer": {optest.MetadataOtherIssuer, metadataIs("issuer", "https://op.invalid")},
	"MetadataIssuerTrailingSlash": {optest.MetadataIssuerTrailingSlash, func(o observed) bool {
		return o.metadata["issuer"] == o.issuer+"/"
	}},
	"MetadataNoJWKSURI": {optest.MetadataNoJWKSURI, metadataIs("jwks_uri", nil)},
	"MetadataNoS256": {optest.MetadataNoS256, func(o observed) bool {
		methods, _ := o.metadata["code_challenge_methods_supported"].([]any)
		return len(methods) == 1 && methods[0] == "plain"
	}},
	"MetadataAuthorizationQuery": {optest.MetadataAuthorizationQuery, func(o observed) bool {
		return o.metadata["authorization_endpoint"] == o.issuer+"/authorize?tenant=1"
	}},
	"MetadataFragment": {optest.MetadataFragment, func(o observed) bool {
		return o.metadata["authorization_endpoint"] == o.issuer+"/authorize#fragment"
	}},
	"MetadataNoIss":        {optest.MetadataNoIss, metadataIs("authorization_response_iss_parameter_supported", nil)},
	"MetadataNoEndSession": {optest.MetadataNoEndSession, metadataIs("end_session_endpoint", nil)},

	"JWKSEmpty": {optest.JWKSEmpty, func(o observed) bool { return len(o.keys) == 0 }},
	"JWKSEncryptionUse": {optest.JWKSEncryptionUse, func(o observed) bool {
		return allKeys(o, func(k map[string]any) bool { return k["use"] == "enc" })
	}},
	"JWKSEncryptionOps": {optest.JWKSEncryptionOps, func(o observed) bool {
		return allKeys(o, func(k map[string]any) bool { return k["key_ops"] != nil })
	}},
	"JWKSOtherAlg": {optest.JWKSOtherAlg, func(o observed) bool {
		return allKeys(o, func(k map[string]any) bool { return k["alg"] == "RS512" })
	}},
	"JWKSUnknownKeyType": {optest.JWKSUnknownKeyType, func(o observed) bool {
		return len(o.keys) == 5 && o.keys[0]["crv"] == "secp256k1" && o.keys[2]["kty"] == "XYZ"
	}},
	"JWKSDecoys": {optest.JWKSDecoys, func(o observed) bool {
		return strings.Count(kids(o), o.idToken.header["kid"].(string)) > 2 && o.keys[0]["use"] == "enc"
	}},
	"JWKSNoKids": {optest.JWKSNoKids, func(o observed) bool { return strings.TrimSpace(kids(o)) == "" }},
	"JWKSPrivateKeys": {optest.JWKSPrivateKeys, func(o observed) bool {
		return allKeys(o, func(k map[string]any) bool { return k["d"] != nil })
	}},
	"JWKSSymmetricKeys": {optest.JWKSSymmetricKeys, func(o observed) bool {
		return allKeys(o, func(k map[string]any) bool { return k["kty"] == "oct" })
	}},

	"CallbackWrongIssuer": {optest.CallbackWrongIssuer, callbackIs("iss", "https://op.invalid")},
	"CallbackIssuerTrailingSlash": {optest.CallbackIssuerTrailingSlash, func(o observed) bool {
		return o.callback.Get("iss") == o.issuer+"/"
	}},
	"CallbackNoIssuer":   {optest.CallbackNoIssuer, func(o observed) bool { return !o.callback.Has("iss") }},
	"CallbackNoState":    {optest.CallbackNoState, func(o observed) bool { return !o.callback.Has("state") }},
	"CallbackOtherState": {optest.CallbackOtherState, callbackIs("state", "other-state")},
	"CallbackNoCode":     {optest.CallbackNoCode, func(o observed) bool { return !o.callback.Has("code") }},
	"CallbackTokens": {optest.CallbackTokens, func(o observed) bool {
		return o.callback.Has("access_token") && o.callback.Has("id_token") && o.callback.Has("code")
	}},
	"CallbackUnknownParameters": {optest.CallbackUnknownParameters, callbackIs("session_state", "abc.def")},

	"NoAccessToken":       {optest.NoAccessToken, noTokenMember("access_token")},
	"NoTokenType":         {optest.NoTokenType, noTokenMember("token_type")},
	"TokenTypeMAC":        {optest.TokenTypeMAC, tokenIs("token_type", "mac")},
	"TokenTypeDPoP":       {optest.TokenTypeDPoP, tokenIs("token_type", "DPoP")},
	"TokenTypeOddCase":    {optest.TokenTypeOddCase, tokenIs("token_type", "bEaReR")},
	"NoExpiresIn":         {optest.NoExpiresIn, noTokenMember("expires_in")},
	"FractionalExpiresIn": {optest.FractionalExpiresIn, tokenIs("expires_in", 299.5)},
	"StringExpiresIn":     {optest.StringExpiresIn, tokenIs("expires_in", "300")},
	"NegativeExpiresIn":   {optest.NegativeExpiresIn, tokenIs("expires_in", -1.0)},
	"NoScope":             {optest.NoScope, noTokenMember("scope")},
	"NarrowerScope":       {optest.NarrowerScope, tokenIs("scope", "openid")},
	"WiderScope":          {optest.WiderScope, tokenIs("scope", strings.Join(everything, " ")+" admin")},
	"NoRefreshToken":      {optest.NoRefreshToken, noTokenMember("refresh_token")},

	"UserInfoOtherSubject": {optest.UserInfoOtherSubject, func(o observed) bool {
		return o.userInfo["sub"] == "another-user"
	}},
	"UserInfoNoSubject": {optest.UserInfoNoSubject, func(o observed) bool {
		return o.userInfo["name"] != nil && o.userInfo["sub"] == nil
	}},
	"UserInfoConflictingClaims": {optest.UserInfoConflictingClaims, func(o observed) bool {
		return o.userInfo["iss"] == "from-userinfo" && o.userInfo["exp"] == 1.0
	}},
}

func kids(o observed) string {
	var all []string
	for _, k := range o.keys {
		kid, _ := k["kid"].(string)
		all = append(all, kid)
	}
	return strings.Join(all, " ")
}

// Each fault is seen, and is seen by nothing that the honest OP does.
func TestFaults(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	honest := p.observe()
	names := map[string]bool{}
	for name, test := range faults {
		t.Run(name, func(t *testing.T) {
			p := *p
			p.T = t
			if test.seen(honest) {
				t.Error("seen without the fault")
			}
			p.op.Fault(test.fault)
			defer p.op.ClearFaults()
			if o := p.observe(); !test.seen(o) {
				t.Errorf("not seen: %+v", o)
			}
			if s := test.fault.String(); s == "" || names[s] {
				t.Errorf("its name %q is empty or that of another fault", s)
			}
			names[test.fault.String()] = true
		})
	}
}

// Every fault that the package exports is named in a test.
func TestFaultsAreAllTested(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("fault*.go")
	if err != nil {
		t.Fatal(err)
	}
	var exported []string
	tested := map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					tested[s.Sel.Name] = true
				}
				return true
			})
			continue
		}
		for _, decl := range f.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.VAR {
				continue
			}
			for _, spec := range group.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if name.IsExported() {
						exported = append(exported, name.Name)
					}
				}
			}
		}
	}
	for _, name := range exported {
		if !tested[name] {
			t.Errorf("%s is in no test", name)
		}
	}
	if len(exported) < len(faults) {
		t.Errorf("found %d faults in the source, the table has %d", len(exported), len(faults))
	}
}

// OnRefresh leaves the login alone.
func TestOnRefresh(t *testing.T) {
	t.Parallel()
	p := newParty(t, config())
	p.op.Fault(optest.OnRefresh(optest.OtherSubject), optest.OnRefresh(optest.NoRefreshToken))
	o := p.observe()
	if o.idToken.claims["sub"] != "alice" || o.token["refresh_token"] == nil {
		t.Errorf("the login is concerned: %+v", o)
	}
	if o.refreshedIDToken.claims["sub"] != "another-user" || o.refreshed["refresh_token"] != nil {
		t.Errorf("the refresh is not: %+v", o)
	}
}
