// The orders API as the page sees it: an ordinary path on its own origin.

import { Problem, request } from './bff.js';
import { element } from './dom.js';

const catalogue = ['Wool coat', 'Felt hat', 'Silk scarf', 'Leather gloves', 'Black umbrella', 'Tweed cap'];

// fetchOrders shows the user's orders in result.
export async function fetchOrders(result) {
  const response = await attempt(result, 'GET /api/orders', () => request('/api/orders'));
  const { orders, received } = await response.json();
  result.replaceChildren(
    statusLine('GET /api/orders', response),
    element('ul', { className: 'orders' }, ...orders.map(orderLine)),
    element('p', { className: 'label' }, 'What reached the API'),
    element('p', { className: 'received' },
      `An access token for ${received.sub}, issued ${seconds(received.token_age)} ago, good for another `
      + `${seconds(received.token_expires_in)}. Cookies: ${received.cookies || 'none'}.`),
  );
}

// placeOrder orders some piece of the catalogue.
export async function placeOrder(result) {
  const item = catalogue[Math.floor(Math.random() * catalogue.length)];
  const response = await attempt(result, 'POST /api/orders', () => request('/api/orders', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ item }),
  }));
  const order = await response.json();
  result.replaceChildren(
    statusLine('POST /api/orders', response),
    element('p', {}, 'Ordered, with thanks:'),
    element('ul', { className: 'orders' }, orderLine(order)),
  );
}

// attempt leaves a status line in result also when the call is refused.
async function attempt(result, call, send) {
  try {
    return await send();
  } catch (error) {
    result.replaceChildren(
      ...(error instanceof Problem ? [statusLine(call, error)] : []),
      element('p', {}, error.message),
    );
    throw error;
  }
}

// statusLine is a call with the status of its answer.
export function statusLine(call, { status, ok = false }) {
  return element('p', { className: 'call' },
    element('code', {}, call),
    element('span', { className: ok ? 'chip good' : 'chip bad' }, String(status)));
}

function orderLine({ number, item, placed_at }) {
  const when = new Date(placed_at).toLocaleDateString(undefined, { day: 'numeric', month: 'long' });
  return element('li', {},
    element('span', { className: 'number' }, String(number)),
    element('span', {}, item),
    element('time', { dateTime: placed_at }, when));
}

function seconds(n) {
  return n === 1 ? '1 second' : `${n} seconds`;
}
