// The little DOM that these pages need. Text goes in as text, never as HTML.

export const $ = (id) => document.getElementById(id);

// element makes an element with properties and children; a string child becomes text.
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// initials are for the avatar: the first letters of the first and the last word.
export function initials(name) {
  const words = name.split(/\s+/).filter(Boolean);
  return [words.at(0), words.length > 1 ? words.at(-1) : ''].map((word) => word?.[0] ?? '').join('').toUpperCase();
}

// displayName is how this user wants to be called, or at least what the OP calls them.
export function displayName(user) {
  return user.name || user.preferred_username || user.sub;
}
