// The user's sessions, this one and those in other browsers.

import { endSession, sessions } from './bff.js';
import { element } from './dom.js';

// showSessions fills a list with the sessions and with buttons to end the others. failed gets what goes wrong.
export async function showSessions(list, failed) {
  const line = (each) => element('li', {},
    element('div', {},
      element('b', {}, browserName(each.user_agent)),
      element('span', { className: 'hint' }, `since ${time(each.created_at)}, last seen ${time(each.last_seen_at)}`)),
    each.current ? element('span', { className: 'chip good' }, 'this browser') : endButton(each));
  const endButton = ({ id }) => {
    const button = element('button', { className: 'button quiet', type: 'button' }, 'End');
    button.addEventListener('click', () => endSession(id).then(() => showSessions(list, failed), failed));
    return button;
  };
  list.replaceChildren(...(await sessions()).map(line));
}

// browserName is a guess that is good enough to tell one's own browsers apart.
function browserName(userAgent) {
  const find = (names, otherwise) => names.find(([mark]) => userAgent.includes(mark))?.[1] ?? otherwise;
  const browser = find([
    ['Firefox/', 'Firefox'], ['Edg/', 'Edge'], ['Chrome/', 'Chrome'], ['Safari/', 'Safari'],
  ], 'A program');
  const system = find([
    ['Android', 'Android'], ['iPhone', 'iPhone'], ['iPad', 'iPad'],
    ['Windows', 'Windows'], ['Mac OS', 'macOS'], ['Linux', 'Linux'],
  ], '');
  return system ? `${browser} on ${system}` : browser;
}

function time(text) {
  return new Date(text).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
}
