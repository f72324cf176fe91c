// What oidc-provider uses and Node.js 18, which Debian 12 has, lacks. This module is a hook of the module loader that puts
// itself in the place of node:crypto where oidc-provider imports that.

import { createHash, webcrypto } from 'node:crypto';
import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

export * from 'node:crypto';

export const hash = (algorithm, data, encoding) => createHash(algorithm).update(data).digest(encoding);

export function resolve(specifier, context, next) {
  if (specifier === 'node:crypto' && context.parentURL.includes('/oidc-provider/')) {
    return { url: import.meta.url, shortCircuit: true };
  }
  return next(specifier, context);
}

if (isMainThread) {
  globalThis.crypto ??= webcrypto;
  URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null);
  register(import.meta.url);
}
