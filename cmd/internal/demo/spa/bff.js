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

// refresh has the gateway ask the OP for new tokens and claims now.
export async function refresh() {
  return (await request('/bff/session/refresh', { method: 'POST' })).json();
}

// sessions are those of this user, in this browser and in others.
export async function sessions() {
  return (await (await request('/bff/sessions')).json()).sessions;
}

// endSession ends one of them.
export async function endSession(id) {
  await request(`/bff/sessions/${encodeURIComponent(id)}`, { method: 'DELETE' });
}

// endSessions ends all of them, this one too. The session at the OP goes on.
export async function endSessions() {
  await request('/bff/sessions', { method: 'DELETE' });
}

// signInUrl is the address of the sign-in which comes back to exactly this place: path, query and fragment.
export function signInUrl(loginUrl = '/bff/login', params = {}) {
  const url = new URL(loginUrl, location.origin);
  url.searchParams.set('returnUrl', location.pathname + location.search + location.hash);
  for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value);
  return url.href;
}

// signOut ends the session here, and returns where to go to end the one at the OP. From there the browser comes back to
// /?signed-out.
export async function signOut() {
  const path = `/bff/logout?returnUrl=${encodeURIComponent('/?signed-out')}`;
  return (await (await request(path, { method: 'POST' })).json()).redirect_to;
}

// whyEnded says to the user why there is no session: by the cause that an event names, or else by the reason.
export function whyEnded({ reason, cause }) {
  return causes[cause] ?? reasons[reason] ?? '';
}

const reasons = {
  expired: 'Your session has reached its end. Please sign in again.',
  idle: 'You were away for a while, so the session was closed. Please sign in again.',
  ended: 'Your session was ended. Please sign in again.',
};

const causes = {
  logout: 'You have signed out.',
  backchannel_logout: 'You have signed out at Harbour ID.',
  ended_by_user: 'You have signed this browser out from your list of sessions.',
  ended_by_admin: 'An administrator has ended your session.',
  user_limit: 'You have signed in elsewhere, and one may have only so many sessions.',
  grant_refused: 'Harbour ID does not let this session go on. Please sign in again.',
};

// farewell is what to say to somebody who has just signed out. It takes the mark out of the address, so that neither a
// reload nor a bookmark says so again.
export function farewell() {
  if (location.search !== '?signed-out') return '';
  history.replaceState(null, '', location.pathname);
  return 'You are signed out.';
}
