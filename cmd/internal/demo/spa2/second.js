// The second application: the smallest page that can sign in and out.

import { farewell, request, signInUrl, signOut, whyEnded } from './bff.js';
import { $, displayName, initials } from './dom.js';
import { leave, watch } from './watch.js';

let goodbye = farewell();
let loginUrl;

function show(current) {
  $('signed-in').hidden = !current.authenticated;
  $('signed-out').hidden = current.authenticated;
  goodbye = current.authenticated ? '' : whyEnded(current) || goodbye;
  $('status').textContent = goodbye;
  if (current.authenticated) {
    $('user-name').textContent = displayName(current.user);
    $('avatar').textContent = initials(displayName(current.user));
  } else {
    loginUrl = current.login_url;
    setSignIn();
  }
}

// setSignIn asks the OP to show its account selection even though it may know the user.
function setSignIn() {
  $('sign-in').href = signInUrl(loginUrl, { prompt: 'select_account' });
}

function fail(error) {
  $('status').textContent = error.message;
}

$('sign-in').addEventListener('click', setSignIn);
$('sign-out').addEventListener('click', () => signOut().then(leave).catch(fail));

watch(show, fail);

const apps = await (await request('/public/apps')).json();
$('other-app').href = apps.first;
$('other-app').hidden = false;
