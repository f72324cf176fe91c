// npm oidc-provider as an OP on loopback, for e2e/panva_test.go. CLIENT holds the client's registration as JSON. Once
// it listens it prints its issuer, on one line.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { versions } from 'node:process';

if (parseInt(versions.node, 10) < 20) await import('./node18.mjs');
const { default: Provider } = await import('oidc-provider');

const resource = 'https://orders.e2e.test';
const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [JSON.parse(process.env.CLIENT)],
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email'] },
  conformIdTokenClaims: false, // the access token is for the resource, so userinfo would refuse it
  cookies: { keys: ['of one run'] },
  features: {
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        audience: resource,
        scope: 'orders:read',
        accessTokenFormat: 'jwt',
        accessTokenTTL: 4, // seconds
      }),
    },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: true },
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

// interact shows the page of the prompt that is due, or takes its form.
async function interact(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (request.method === 'GET') {
    if (prompt.name === 'login') page(response, 'Sign in', '<input name="login"><button>Sign in</button>');
    else page(response, 'Allow access?', '<button>Allow</button>');
    return;
  }
  const form = await readForm(request);
  const result = prompt.name === 'login'
    ? { login: { accountId: form.get('login') } }
    : { consent: { grantId: await grantAll(prompt.details, params.client_id, session.accountId, grantId) } };
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
server.on('request', (request, response) => {
  if (!request.url.startsWith('/interaction/')) {
    callback(request, response);
    return;
  }
  interact(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
});
provider.on('server_error', (_ctx, error) => console.error(error));

process.on('SIGTERM', () => process.exit());
console.log(issuer);
