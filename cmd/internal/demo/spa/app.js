// The first application: who is signed in, for how long, an API call, and everything a script can see.

import {
  Problem, endSessions, extend, farewell, refresh, request, session, signInUrl, signOut, whyEnded,
} from './bff.js';
import { countDown } from './countdown.js';
import { $, displayName, element, initials } from './dom.js';
import { fetchOrders, placeOrder, statusLine } from './orders.js';
import { showSessions } from './sessions.js';
import { leave, watch } from './watch.js';

let goodbye = farewell(); // what to say while nobody is signed in
let loginUrl; // where the gateway says that signing in starts

function show(current) {
  const begins = current.authenticated && $('signed-in').hidden;
  $('signed-in').hidden = !current.authenticated;
  $('signed-out').hidden = current.authenticated;
  if (begins) showSessions($('sessions'), fail).catch(fail);
  if (current.authenticated) {
    goodbye = '';
    showUser(current);
  } else {
    goodbye = whyEnded(current) || goodbye; // who asks again is only told that there is none
    showSignIn(current.login_url, goodbye);
  }
}

function showUser(current) {
  const { user } = current;
  $('user-name').textContent = displayName(user);
  $('user-detail').textContent = user.email ?? user.sub;
  $('avatar').textContent = initials(displayName(user));
  countDown({ 'idle-left': current.idle_expires_in, 'absolute-left': current.expires_in });
  showVisible(current);
  say('');
}

function showSignIn(url, reason) {
  $('signed-in').hidden = true;
  $('signed-out').hidden = false;
  $('api-result').replaceChildren();
  $('visible-to-js').replaceChildren();
  $('sessions').replaceChildren();
  loginUrl = url;
  $('sign-in').href = signInUrl(loginUrl);
  countDown({});
  say(reason);
}

// showVisible lists what a script in this origin, ours or an attacker's, can read.
function showVisible(current) {
  const found = {
    'document.cookie': document.cookie || '(empty)',
    localStorage: stored(localStorage),
    sessionStorage: stored(sessionStorage),
    'GET /bff/session': JSON.stringify({ ...current, change: undefined }, null, 2), // without what only an event has
  };
  $('visible-to-js').replaceChildren(...Object.entries(found).map(([name, value]) =>
    element('div', {}, element('dt', {}, name), element('dd', {}, element('pre', { tabIndex: 0 }, value)))));
}

function stored(storage) {
  return storage.length ? JSON.stringify({ ...storage }, null, 2) : '(empty)';
}

// fail explains an error, and offers what helps: signing in, or trying again.
function fail(error) {
  if (!(error instanceof Problem)) {
    say('The gateway does not answer. Is the demo still running?');
  } else if (error.status === 401) {
    showSignIn(error.loginUrl, error.message);
  } else if (error.status === 503) {
    say(`${error.message}. Please try again${error.retryAfter ? ` in ${error.retryAfter} seconds` : ' in a moment'}.`);
  } else {
    say(error.message);
  }
}

function say(text) {
  $('status').textContent = text;
}

// onClick runs action, once at a time. The button is not disabled meanwhile, because it would lose the focus.
function onClick(id, action) {
  const button = $(id);
  button.addEventListener('click', async () => {
    if (button.ariaBusy === 'true') return;
    button.ariaBusy = 'true';
    try {
      await action();
    } catch (error) {
      fail(error);
    } finally {
      button.ariaBusy = 'false';
    }
  });
}

onClick('call-api', async () => {
  await fetchOrders($('api-result'));
  show(await session());
});
onClick('order', async () => {
  await placeOrder($('api-result'));
  show(await session());
});
onClick('refresh', async () => {
  const current = await refresh();
  $('api-result').replaceChildren(
    statusLine('POST /bff/session/refresh', { status: 200, ok: true }),
    element('p', {}, 'The gateway has new tokens, and what Harbour ID says about you now.'),
  );
  show(current);
});
onClick('extend', async () => show(await extend()));
onClick('sign-out', async () => leave(await signOut()));
onClick('end-all', async () => {
  await endSessions();
  show(await session());
});
$('sign-in').addEventListener('click', () => { $('sign-in').href = signInUrl(loginUrl); }); // the fragment may be new

addEventListener('focus', () => $('signed-in').hidden || showSessions($('sessions'), fail).catch(fail));

watch(show, fail);

const apps = await (await request('/public/apps')).json();
$('other-app').href = apps.second;
$('other-app').hidden = false;
$('op').href = apps.op;
