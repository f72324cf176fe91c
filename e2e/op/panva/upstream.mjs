// The OP as a client of another OP, by npm openid-client: users sign in there by the code flow, and are signed out there
// when they sign out here.

import * as client from 'openid-client';

// connect reads the other OP's metadata. Everything under `base` belongs to the result's serve.
export async function connect({ issuer, client_id: id, client_secret: secret }, base) {
  const config = await client.discovery(new URL(issuer), id, secret, client.ClientSecretBasic(secret), {
    execute: [client.allowInsecureRequests], // loopback
  });
  const logins = new Map(); // by state: what the callback needs
  const accounts = new Map(); // by interaction: who has signed in
  const idTokens = new Map(); // by account
  const logouts = new Map(); // by state: the form that goes on with our own logout

  // login is where the browser goes for an interaction.
  async function login(uid) {
    const verifier = client.randomPKCECodeVerifier();
    const [state, nonce] = [client.randomState(), client.randomNonce()];
    logins.set(state, { uid, verifier, nonce });
    return client.buildAuthorizationUrl(config, {
      redirect_uri: `${base}/callback`,
      scope: 'openid',
      state,
      nonce,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    }).href;
  }

  async function finish(url, response) {
    const state = url.searchParams.get('state');
    const { uid, verifier, nonce } = logins.get(state);
    logins.delete(state);
    const tokens = await client.authorizationCodeGrant(config, url, {
      pkceCodeVerifier: verifier, expectedNonce: nonce, expectedState: state, idTokenExpected: true,
    });
    const { sub } = tokens.claims();
    accounts.set(uid, sub);
    idTokens.set(sub, tokens.id_token);
    response.writeHead(303, { Location: `/interaction/${uid}` }).end();
  }

  // logout is features.rpInitiatedLogout.logoutSource: first the other OP, then the form of our own.
  function logout(ctx, form) {
    const state = client.randomState();
    logouts.set(state, form);
    ctx.redirect(client.buildEndSessionUrl(config, {
      id_token_hint: idTokens.get(ctx.oidc.session.accountId),
      post_logout_redirect_uri: `${base}/logged-out`,
      state,
    }).href);
  }

  function loggedOut(url, response) {
    const state = url.searchParams.get('state');
    const form = logouts.get(state).replace('</form>', '<input type="hidden" name="logout" value="yes"></form>');
    logouts.delete(state);
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' });
    response.end(`<!doctype html><title>Signing out</title>${form}<script>document.forms[0].submit()</script>`);
  }

  async function serve(request, response) {
    const url = new URL(request.url, base);
    if (url.pathname.endsWith('/callback')) await finish(url, response);
    else loggedOut(url, response);
  }

  return { login, logout, serve, account: (uid) => accounts.get(uid) };
}
