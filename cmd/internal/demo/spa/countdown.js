// Counts down to the deadlines of the session.

let deadlines = {}; // element id -> milliseconds since the epoch
setInterval(tick, 1000);

// countDown sets the remaining seconds by element id. The gateway says how long, not until when, so that a wrong
// clock on this side does no harm.
export function countDown(seconds) {
  const now = Date.now();
  deadlines = Object.fromEntries(Object.entries(seconds).map(([id, s]) => [id, now + s * 1000]));
  tick();
}

function tick() {
  for (const [id, deadline] of Object.entries(deadlines)) {
    const left = Math.max(0, Math.round((deadline - Date.now()) / 1000));
    document.getElementById(id).textContent = clock(left);
  }
}

// clock writes seconds as m:ss or h:mm:ss.
export function clock(seconds) {
  const two = (n) => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
