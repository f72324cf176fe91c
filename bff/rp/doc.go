// Package rp is us as a confidential client of one OpenID Provider: discovery, keys, the authorization request and its
// response, the token endpoint, the ID token, userinfo, refresh, revocation and RP-initiated logout.
//
// A [Client] is made from a [Config] and kept up to date by [Client.Run]:
//
//	client, err := rp.New(rp.Config{Issuer: "https://op.example.com", ClientID: "app", ...})
//	go client.Run(ctx)                                   // from now on Ready says whether logins work
//	address, err := client.AuthorizationURL(ctx, request) // send the browser there
//	code, err := client.CheckResponse(query, state)       // it came back
//	grant, err := client.Exchange(ctx, code, request)     // verified tokens and claims
//	grant, err = client.Refresh(ctx, grant.RefreshToken, grant.Identity)
//
// The client holds no user's data; what belongs to a login in flight ([AuthorizationRequest]) and to a session
// ([Grant]) is the caller's to keep. Nothing is sent twice: after [ErrUncertain] the outcome stays open.
//
// # What is held where
//
// By section of standards.md:
//
//   - §2 FLOW, request: authorize.go (FLOW-01, 02 in form, 05, 16, 44, 45), discovery.go (03). Response: CheckResponse
//     (05, 10 to 13, 20, 26, 28, 40). Token request: grant.go (15, 17), token.go (30, 31, 32), http.go (29, 33).
//     FLOW-04, 06 to 09, 18, 23 to 25, 34 to 39 and 41 to 43 are about browsers and sessions: package bff.
//   - §3 IDT: idtoken.go, but IDT-01 in grant.go, IDT-19 and 20 in keys.go, IDT-31 as [Identity]. IDT-12 and 26 give
//     the key (iss, sub). IDT-27 is for whoever authorises by e-mail address; nothing here does.
//   - §4.1 RFR-01 to 13: grant.go and checkContinues. RFR-28 and 29: errors.go and http.go. RFR-20 to 35 otherwise:
//     package session.
//   - §5 DIS-01 to 07, 10: discovery.go. DIS-08, 09: Run. DIS-11 to 13: keys.go. DIS-14 to 17: jwk.go. DIS-18: http.go.
//   - §6 UIN: userinfo.go.
//   - §7 RPL-02 to 05: EndSessionURL. The others: package bff.
//   - §11 CA-01 to 03: token.go. §14 EXT-04: Revoke. EXT-05: nothing here looks into an access token.
//   - §18.1 GOI and §18.2 XOA: go-oidc verifies signature, algorithm, issuer and audience; x/oauth2 makes the PKCE
//     challenge; neither of them makes a request.
//
// # What is not held yet
//
// New refuses what it cannot do, and an OP that requires it is unusable and says so:
//
//   - IDT-05: ID tokens with a MAC. IDT-24: encrypted ID tokens are refused, never decrypted.
//   - UIN-03: signed userinfo is refused.
//   - CA-04 to 13: client_secret_jwt, private_key_jwt and mTLS.
//   - §12: PAR, request objects, JARM; response_mode is query. An OP with require_pushed_authorization_requests is
//     unusable.
//   - §13: DPoP. EXT-01, 02, 03: resource indicators and token exchange.
//   - §8: logout tokens. The key set is ready for them.
//   - DIS-05, second half: there is no list of allowed hosts in the configuration.
//   - FLOW-12: an unannounced iss is always refused; there is no option to take it.
//
// Userinfo is asked at login only, so claims that come from there are as old as the login.
package rp
