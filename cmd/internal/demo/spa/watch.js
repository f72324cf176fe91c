// Keeps a page up to date with the session: asks now and then while somebody is looking, and counts down in between.

import { session } from './bff.js';

const askEvery = 20_000; // milliseconds
let deadlines = {}; // element id -> milliseconds since the epoch

// watch calls show with the session now, every 20 s while the page is visible, when the page becomes visible again,
// and when a deadline has passed. It calls failed with the error when the gateway cannot be asked.
export function watch(show, failed) {
  const ask = () => session().then(show, failed);
  const due = () => {
    if (!document.hidden) ask();
  };
  document.addEventListener('visibilitychange', due);
  setInterval(due, askEvery);
  setInterval(() => tick() && due(), 1000);
  return ask();
}

// countDown sets the remaining seconds by element id. The gateway says how long, not until when, so that a wrong
// clock on this side does no harm.
export function countDown(seconds) {
  const now = Date.now();
  deadlines = Object.fromEntries(Object.entries(seconds).map(([id, s]) => [id, now + s * 1000]));
  tick();
}

// tick redraws, and reports whether a deadline has just passed.
function tick() {
  let passed = false;
  for (const [id, deadline] of Object.entries(deadlines)) {
    const left = Math.max(0, Math.round((deadline - Date.now()) / 1000));
    document.getElementById(id).textContent = clock(left);
    if (left === 0) {
      delete deadlines[id];
      passed = true;
    }
  }
  return passed;
}

// clock writes seconds as m:ss or h:mm:ss.
export function clock(seconds) {
  const two = (n) => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
