// An API for the examples. It shows what reaches it; a real one verifies the access token (RFC 9068 §4) on every request.

import { createServer } from 'node:http';

createServer(({ url, headers }, response) => {
  const token = /^Bearer ./.test(headers.authorization);
  response.writeHead(token ? 200 : 401, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify({ path: url, token, cookie: 'cookie' in headers }));
}).listen(Number(process.env.API_PORT), '127.0.0.1');

process.on('SIGTERM', () => process.exit());
