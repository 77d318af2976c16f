// The gateway's policies as a Hono application, the way a Worker has them: the same steps in the same order, verdicts cached for a minute.
import { Hono } from 'hono'
import { cors } from 'hono/cors'
import { proxy } from 'hono/proxy'
import { requestId } from 'hono/request-id'
import { secureHeaders } from 'hono/secure-headers'
import { timing } from 'hono/timing'

const SERVICE_KEY = 'bench-service-key'
const TTL = 60_000 // milliseconds, of verdicts and of rate limit windows
const LIMIT = 1e9
const PREFIX = '/api/v1/platforms'

const encoder = new TextEncoder()
const hmacKey = crypto.subtle.importKey('raw', encoder.encode('bench'), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
const windows = new Map()
const verdicts = new Map()
let lastLine // made as the gateway makes it, and not written: in this peer's favour

const refuse = (c, status, code, message) => c.json({ error: { code, message, requestId: c.get('requestId') } }, status)

async function digest(text) {
  return new Uint8Array(await crypto.subtle.sign('HMAC', await hmacKey, encoder.encode(text)))
}

async function isServiceKey(token) {
  const [a, b] = await Promise.all([digest(token), digest(SERVICE_KEY)])
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i]
  return difference === 0
}

async function verdictOn(token, c) {
  const known = verdicts.get(token)
  if (known && known.expires > Date.now()) return known.session
  const answer = await c.env.IAM.fetch('http://iam/api/nno/session', { headers: { authorization: `Bearer ${token}` } })
  if (!answer.ok) return null
  const session = await answer.json()
  verdicts.set(token, { session, expires: Date.now() + TTL })
  return session
}

const app = new Hono()
app.use('*', secureHeaders())
app.onError((error, c) => refuse(c, 500, 'INTERNAL_ERROR', String(error)))
app.use('*', requestId())

app.use('*', async (c, next) => {
  const started = Date.now()
  await next()
  lastLine = JSON.stringify({ level: 'info', requestId: c.get('requestId'), method: c.req.method, path: c.req.path,
    status: c.res.status, durationMs: Date.now() - started })
})

app.use('*', timing())

app.use('*', async (c, next) => {
  const key = `${c.req.header('cf-connecting-ip') ?? '127.0.0.1'}:${c.req.path}`
  const now = Date.now()
  let window = windows.get(key)
  if (!window || now - window.opened > TTL) windows.set(key, (window = { count: 0, opened: now }))
  if (++window.count > LIMIT) return refuse(c, 429, 'RATE_LIMITED', 'Too many requests')
  await next()
})

app.use('*', cors({ origin: ['https://console.example'], allowHeaders: ['Content-Type', 'Authorization', 'X-Request-Id'] }))

app.use('*', async (c, next) => {
  const trace = c.req.header('x-nno-trace-id') ?? crypto.randomUUID()
  c.set('trace', trace)
  await next()
  c.header('X-Nno-Trace-Id', trace)
})

app.use('/api/*', async (c, next) => {
  const authorization = c.req.header('authorization') ?? ''
  if (!authorization.startsWith('Bearer ')) return refuse(c, 401, 'UNAUTHORIZED', 'Missing credentials')
  const token = authorization.slice(7)
  if (!(await isServiceKey(token))) {
    const session = await verdictOn(token, c)
    if (!session) return refuse(c, 401, 'UNAUTHORIZED', 'Invalid session')
    c.set('session', session)
  }
  await next()
})

app.all(`${PREFIX}/*`, (c) => {
  const session = c.get('session') ?? {}
  const url = new URL(c.req.url)
  return proxy(`http://services${url.pathname.slice(PREFIX.length)}${url.search}`, {
    ...c.req,
    headers: { ...c.req.header(), 'X-Nno-User-Id': session.userId, 'X-Nno-Role': session.role, 'X-Nno-Platform-Id': session.platformId,
      'X-Nno-Request-Id': c.get('requestId'), 'X-Nno-Trace-Id': c.get('trace') },
    customFetch: (request) => c.env.SERVICES.fetch(request),
  })
})

app.get('/health', (c) => c.text('ok'))
app.notFound((c) => refuse(c, 404, 'NOT_FOUND', 'No such route'))

export default app
