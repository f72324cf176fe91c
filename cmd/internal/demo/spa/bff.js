// What a page needs to live behind Cloakroom. No token passes through this file: the browser sends the session cookie
// by itself, and the gateway exchanges it for an access token on the way to the API.

// Problem is an answer that is not 2xx: RFC 9457 problem details where the gateway gave some.
export class Problem extends Error {
  constructor(response, body) {
    super(body.detail || body.title || body.error || `The answer was ${response.status} ${response.statusText}`);
    this.status = response.status;
    this.code = body.code;
    this.loginUrl = body.login_url; // where signing in helps
    this.retryAfter = Number(response.headers.get('Retry-After')) || 0; // seconds
  }
}

// request is fetch with the header that tells the gateway that this origin's own code is asking, not another site.
export async function request(path, options = {}) {
  const headers = { Accept: 'application/json', 'X-CSRF': '1', ...options.headers };
  const response = await fetch(path, { ...options, headers });
  if (!response.ok) throw new Problem(response, await response.json().catch(() => ({})));
  return response;
}

// session tells who is signed in. Asking does not count as activity.
export async function session() {
  return (await request('/bff/session')).json();
}

// extend counts as activity: the idle deadline starts again.
export async function extend() {
  return (await request('/bff/session/extend', { method: 'POST' })).json();
}

// signInUrl is the address of the sign-in which comes back to exactly this place: path, query and fragment.
export function signInUrl(loginUrl = '/bff/login', params = {}) {
  const url = new URL(loginUrl, location.origin);
  url.searchParams.set('returnUrl', location.pathname + location.search + location.hash);
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value);
  return url.href;
}

// signOut ends the session here, then goes to the OP to end the one there. The browser comes back to /?signed-out.
export async function signOut() {
  const path = `/bff/logout?returnUrl=${encodeURIComponent('/?signed-out')}`;
  const { redirect_to } = await (await request(path, { method: 'POST' })).json();
  location.assign(redirect_to);
}

// farewell is what to say to somebody who has just signed out. It takes the mark out of the address, so that neither a
// reload nor a bookmark says so again.
export function farewell() {
  if (location.search !== '?signed-out') return '';
  history.replaceState(null, '', location.pathname);
  return 'You are signed out.';
}
