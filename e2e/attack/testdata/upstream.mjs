// An upstream with a router as careless as they come: it decodes, drops path parameters, takes "\" for "/", resolves dot
// segments and ignores case before it looks which location that is. Usage: node upstream.mjs PORT
import http from 'node:http'
import { posix } from 'node:path'

const locations = ['public', 'api', 'admin', 'internal']

function locate(url) {
  try {
    let path = decodeURIComponent(new URL(url, 'http://upstream').pathname)
    path = posix.normalize(path.replaceAll('\\', '/').replaceAll(/;[^/]*/g, ''))
    const [, first] = path.toLowerCase().split('/')
    return locations.includes(first) ? first : 'none'
  } catch {
    return 'none'
  }
}

const server = http.createServer((req, res) => {
  res.setHeader('X-Location', locate(req.url))
  res.setHeader('X-Raw', req.url)
  res.end()
})
server.keepAliveTimeout = 60_000
server.listen(Number(process.argv[2]), '127.0.0.1')
process.on('SIGTERM', () => process.exit(0))
