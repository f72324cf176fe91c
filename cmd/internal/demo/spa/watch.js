// Keeps every tab of this browser up to date with the session: the gateway tells one of them, and that one tells the
// others. A browser that speaks HTTP/1.1 has six connections to an origin, and five tabs must not use up five.

import { session } from './bff.js';

const pause = 2000; // milliseconds, before asking again a gateway that gave no answer
const tabs = new BroadcastChannel('session');

// watch calls show with the session now, and again whenever it changes or ends, in whichever tab, browser or place. It
// calls failed with the error when the gateway cannot be asked.
export function watch(show, failed) {
  let signedIn = false;
  let leading = false; // this tab listens for all
  let source = null;

  const hear = (current) => {
    signedIn = current.authenticated;
    show(current);
    listen();
  };
  const tell = (current) => {
    tabs.postMessage(current);
    hear(current);
  };
  const ask = () => session().then(tell, (error) => {
    failed(error);
    setTimeout(() => leading && ask(), pause);
  });
  const listen = () => {
    if (!leading || !signedIn || source) return;
    source = new EventSource('/bff/events');
    source.addEventListener('session', (event) => tell(JSON.parse(event.data)));
    source.addEventListener('error', () => {
      if (source.readyState !== EventSource.CLOSED) return; // the browser connects again by itself
      source = null; // there is no more to hear, or the gateway cannot say
      if (signedIn) setTimeout(ask, pause);
    });
  };

  tabs.addEventListener('message', ({ data }) => hear(data));
  ask();
  navigator.locks.request('session-events', () => {
    leading = true;
    listen();
    return new Promise(() => {}); // until this tab closes; then it is another's turn
  });
}

// leave tells the other tabs that the user has signed out in this one, which may have been the one that listens, and
// goes to where the logout goes on.
export function leave(address) {
  tabs.postMessage({ authenticated: false, cause: 'logout' });
  location.assign(address);
}
