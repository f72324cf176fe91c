// npm oidc-provider as an OP on loopback, for the end-to-end tests. Once it listens it prints its issuer, on one line;
// later lines say what it has seen, as key=value pairs. The environment configures it:
//
//   CLIENT    the client's registration, as JSON
//   FEATURES  features of oidc-provider beyond those below, as JSON
//   HOST      of the issuer; default 127.0.0.1
//   PORT      of the issuer; default a free one
//   TLS       {"cert", "key", "clientCA"}: names of PEM files. The issuer is then https, and with clientCA the aliases of
//             RFC 8705 are on a second port, which asks for client certificates
//   UPSTREAM  {"issuer", "client_id", "client_secret"}: users sign in at this other OP, see upstream.mjs

import { X509Certificate, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { env, versions } from 'node:process';

if (parseInt(versions.node, 10) < 20) await import('./node18.mjs');
const { default: Provider } = await import('oidc-provider');

const resource = 'https://orders.e2e.test';
const tls = env.TLS && JSON.parse(env.TLS);
const host = env.HOST ?? '127.0.0.1';

// listen opens a port, with these further options if there is TLS.
async function listen(port, options) {
  const server = tls
    ? createSecureServer({ cert: readFileSync(tls.cert), key: readFileSync(tls.key), ...options })
    : createServer();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { server, origin: `${tls ? 'https' : 'http'}://${host}:${server.address().port}` };
}

const front = await listen(Number(env.PORT ?? 0));
const issuer = front.origin;
const mutual = tls?.clientCA
  && await listen(0, { ca: readFileSync(tls.clientCA), requestCert: true, rejectUnauthorized: false });
const upstream = env.UPSTREAM
  && await (await import('./upstream.mjs')).connect(JSON.parse(env.UPSTREAM), `${issuer}/upstream`);

const certificate = (ctx) => {
  const { raw } = ctx.socket.getPeerCertificate?.() ?? {};
  return raw && new X509Certificate(raw);
};

const privateKey = (type, options) => generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' });

const provider = new Provider(issuer, {
  clients: [JSON.parse(env.CLIENT)],
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email'] },
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt'].concat(
    mutual ? ['tls_client_auth', 'self_signed_tls_client_auth'] : [],
  ),
  conformIdTokenClaims: false, // the access token is for the resource, so userinfo would refuse it
  cookies: { keys: ['of one run'] },
  discovery: mutual ? {
    mtls_endpoint_aliases: {
      token_endpoint: `${mutual.origin}/token`,
      revocation_endpoint: `${mutual.origin}/token/revocation`,
      pushed_authorization_request_endpoint: `${mutual.origin}/request`,
    },
  } : {},
  features: {
    backchannelLogout: { enabled: true },
    devInteractions: { enabled: false },
    mTLS: {
      enabled: Boolean(mutual),
      tlsClientAuth: true,
      selfSignedTlsClientAuth: true,
      getCertificate: (ctx) => certificate(ctx)?.toString(),
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) => (
        property === 'tls_client_auth_subject_dn' && certificate(ctx).subject === expected
      ),
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        audience: resource,
        scope: 'orders:read',
        accessTokenFormat: 'jwt',
        accessTokenTTL: 2, // seconds
      }),
    },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: true, ...(upstream && { logoutSource: upstream.logout }) },
    ...JSON.parse(env.FEATURES ?? '{}'),
  },
  fetch: (url, options) => {
    delete options.dispatcher; // not every Node.js release takes it
    return globalThis.fetch(url, options);
  },
  findAccount: (_ctx, sub) => ({
    accountId: sub,
    claims: () => ({ sub, name: `${sub} of panva`, preferred_username: sub, email: `${sub}@panva.test` }),
  }),
  interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
  jwks: { keys: [privateKey('rsa', { modulusLength: 2048 }), privateKey('ec', { namedCurve: 'P-256' })] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  scopes: ['openid', 'profile', 'email', 'offline_access', 'orders:read'],
});

// page asks one question.
function page(response, title, fields) {
  response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store' });
  response.end(`<!doctype html><title>${title}</title><h1>${title}</h1><form method="post">${fields}</form>`);
}

async function readForm(request) {
  let body = '';
  for await (const chunk of request) body += chunk;
  return new URLSearchParams(body);
}

// interact shows the page of the prompt that is due, or takes its form. With an upstream there are no pages: it signs
// the user in, and its word is consent.
async function interact(request, response) {
  const { uid, prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  const consent = async () => ({
    consent: { grantId: await grantAll(prompt.details, params.client_id, session.accountId, grantId) },
  });
  let result;
  if (upstream) {
    const accountId = upstream.account(uid);
    if (prompt.name === 'login' && !accountId) {
      response.writeHead(303, { Location: await upstream.login(uid) }).end();
      return;
    }
    result = prompt.name === 'login' ? { login: { accountId } } : await consent();
  } else if (request.method === 'GET') {
    if (prompt.name === 'login') page(response, 'Sign in', '<input name="login"><button>Sign in</button>');
    else page(response, 'Allow access?', '<button>Allow</button>');
    return;
  } else {
    const form = await readForm(request);
    result = prompt.name === 'login' ? { login: { accountId: form.get('login') } } : await consent();
  }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

async function grantAll(missing, clientId, accountId, grantId) {
  const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant({ accountId, clientId });
  if (missing.missingOIDCScope) grant.addOIDCScope(missing.missingOIDCScope.join(' '));
  for (const [indicator, scopes] of Object.entries(missing.missingResourceScopes ?? {})) {
    grant.addResourceScope(indicator, scopes.join(' '));
  }
  return grant.save();
}

const callback = provider.callback();
function serve(request, response) {
  let answer = callback;
  if (request.url.startsWith('/interaction/')) answer = interact;
  else if (request.url.startsWith('/upstream/')) answer = upstream.serve;
  Promise.resolve(answer(request, response)).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
}
front.server.on('request', serve);
if (mutual) mutual.server.on('request', serve);

function say(what, values) {
  console.log([what, ...Object.entries(values).map(([key, value]) => `${key}=${value}`)].join(' '));
}
provider.on('pushed_authorization_request.success', ({ oidc }) => {
  say('pushed', { auth: oidc.client.clientAuthMethod, object: Boolean(oidc.body.request) });
});
provider.on('authorization.success', ({ oidc }) => {
  const request = oidc.entities.PushedAuthorizationRequest ?? oidc.entities.Interaction?.parJti; // after an interaction
  say('authorized', { mode: oidc.params.response_mode, pushed: Boolean(request) });
});
provider.on('grant.success', ({ oidc, body }) => {
  const grant = oidc.params.grant_type;
  say('granted', { grant, auth: oidc.client.clientAuthMethod, refresh_token: body.refresh_token });
});
provider.on('backchannel.success', (_ctx, _client, sub) => say('logout token taken', { sub }));
provider.on('backchannel.error', (_ctx, error) => say('logout token refused', { status: error.response?.status }));
for (const event of ['authorization', 'grant', 'pushed_authorization_request', 'revocation', 'end_session', 'userinfo']) {
  provider.on(`${event}.error`, (_ctx, error) => console.error(event, error.message, error.error_detail ?? ''));
}
provider.on('server_error', (_ctx, error) => console.error(error));

process.on('SIGTERM', () => process.exit());
console.log(issuer);
