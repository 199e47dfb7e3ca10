/** kube-proxy's own cases (pkg/proxy/healthcheck/healthcheck_test.go), told to our implementation. */
import { request } from 'node:http'
import { createConnection, createServer } from 'node:net'
import t from 'tap'
import type { Delta } from '../../src/core/delta.ts'
import { Health, type Progress } from '../../src/status/health.ts'
import { HealthPorts, type HealthPort } from '../../src/status/healthport.ts'
import { Metrics } from '../../src/status/metrics.ts'
import { parseWhere, serve } from '../../src/status/server.ts'
import { freePorts } from '../cluster/process.ts'

t.test('healthz and livez: fresh, late, repaired, node leaving', (t) => {
  let now = 1_000_000
  let progress: Progress = { pendingSince: null, lastAppliedAt: null }
  const health = new Health({ progress: () => progress, clock: () => now })
  const metrics = new Metrics()
  const counters = {
    healthz: metrics.counter('healthz', 'x', ['code']),
    livez: metrics.counter('livez', 'x', ['code']),
  }
  const routes = health.routes(counters)
  const codes = (): [number, number] => [routes['/healthz']!().status, routes['/livez']!().status]

  t.strictSame(codes(), [200, 200], 'starting is healthy')
  progress = { pendingSince: now, lastAppliedAt: null }
  now += 120_000
  t.strictSame(codes(), [200, 200], 'so is a long start')
  progress = { pendingSince: null, lastAppliedAt: now }
  t.strictSame(codes(), [200, 200])
  now += 3_600_000
  t.strictSame(codes(), [200, 200], 'nothing to do for an hour is no fault')
  progress = { ...progress, pendingSince: now }
  now += 59_999
  t.strictSame(codes(), [200, 200], 'waits, not too long yet')
  now += 1
  t.strictSame(codes(), [503, 503], 'waits for twice the sync period')
  t.equal(health.healthy, false)
  progress = { pendingSince: null, lastAppliedAt: now }
  t.strictSame(codes(), [200, 200])
  health.node({ deleting: false, taints: ['other'] })
  t.strictSame(codes(), [200, 200])
  health.node({ deleting: false, taints: ['other', 'ToBeDeletedByClusterAutoscaler'] })
  t.strictSame(codes(), [503, 200], 'the autoscaler takes it away: livez does not look at the node')
  health.node({ deleting: true, taints: [] })
  t.strictSame(codes(), [503, 200])
  health.node({ deleting: false, taints: [] })
  t.strictSame(codes(), [200, 200])
  health.node(null)
  t.strictSame(codes(), [503, 200], 'the node is gone')
  t.equal(health.nodeEligible, false)
  t.match(metrics.render(), 'healthz{code="503"} 4')
  t.match(metrics.render(), 'livez{code="503"} 1')
  t.end()
})

t.test('the body', (t) => {
  const at = Date.UTC(2026, 0, 1)
  let progress: Progress = { pendingSince: null, lastAppliedAt: null }
  const health = new Health({ progress: () => progress, clock: () => at + 90_000 })
  const body = (path: string): unknown => JSON.parse(health.routes()[path]!().body)
  const currentTime = '2026-01-01T00:01:30.000Z'
  t.strictSame(body('/livez'), { lastUpdated: currentTime, currentTime, healthy: true })
  progress = { pendingSince: at, lastAppliedAt: at }
  const family = { lastUpdated: '2026-01-01T00:00:00.000Z', healthy: false }
  t.strictSame(body('/healthz'), {
    ...{ lastUpdated: '2026-01-01T00:00:00.000Z', currentTime, nodeEligible: true, healthy: false },
    status: { IPv4: family, IPv6: family },
  })
  t.end()
})

interface Got {
  readonly code: number
  readonly body: string
  readonly headers: Record<string, unknown>
}

/** null: nobody listens. */
function get(port: number, path = '/', method = 'GET', host = '127.0.0.1'): Promise<Got | null> {
  return new Promise((resolve, reject) => {
    const asked = request({ host, port, path, method, agent: false }, async (response) => {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk as Buffer)
      resolve({ code: response.statusCode!, body: Buffer.concat(chunks).toString(), headers: response.headers })
    })
    asked.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNREFUSED' ? resolve(null) : reject(error)))
    asked.end()
  })
}

t.test('servers', async (t) => {
  const boom = (): never => {
    throw new Error('boom')
  }
  const answer = { status: 200, type: 'text/plain', body: 'yes\n' } as const
  const server = await serve({ host: '', port: 0 }, { '/a': () => answer, '/boom': boom })
  if (server.kind !== 'listening') return void t.fail(server.reason)
  t.match(await get(server.port, '/a?x=1'), {
    code: 200,
    body: 'yes\n',
    headers: { 'x-content-type-options': 'nosniff' },
  })
  t.match(await get(server.port, '/a', 'HEAD'), { code: 200, body: '', headers: { 'content-length': '4' } })
  t.match(await get(server.port, '/a', 'GET', '::1'), { code: 200 }, 'both families')
  t.match(await get(server.port, '/b'), { code: 404 })
  t.match(await get(server.port, '/constructor'), { code: 404 })
  t.match(await get(server.port, '/a', 'POST'), { code: 405 })
  t.match(await get(server.port, '/boom'), { code: 500, body: /boom/ })
  t.match(await serve({ host: '', port: server.port }, {}), { kind: 'refused', reason: /taken/, remedy: /ss -ltnp/ })
  const slow = createConnection(server.port, '127.0.0.1')
  await new Promise<void>((resolve) => void slow.write('GET /a HTTP/1.1\r\n', () => resolve()))
  t.match(await get(server.port, '/a'), { code: 200 }, 'one that never ends its request keeps nobody waiting')
  slow.on('error', () => {})
  await server.close() // nor the end
  t.equal(await get(server.port), null)
})

t.test('addresses to listen on', (t) => {
  t.strictSame(parseWhere('0.0.0.0:10256'), { host: '', port: 10256 })
  t.strictSame(parseWhere(':10256'), { host: '', port: 10256 })
  t.strictSame(parseWhere('127.0.0.1:10249'), { host: '127.0.0.1', port: 10249 })
  t.strictSame(parseWhere('[::1]:10249'), { host: '::1', port: 10249 })
  t.strictSame(parseWhere('/run/x.sock'), { path: '/run/x.sock' })
  for (const bad of ['', 'x', 'host:1', '1.2.3.4', '1.2.3.4:99999', '[::1]']) t.equal(parseWhere(bad), null, bad)
  t.end()
})

const to = { epoch: 'e', number: 1 }

function delta(from: number, put: Record<string, HealthPort>, drop: string[] = []): Delta<HealthPort> {
  return { from, to, put: new Map(Object.entries(put)), drop: new Set(drop), was: new Map() }
}

t.test('health check node ports', async (t) => {
  let healthy = true
  const target = new HealthPorts(() => healthy)
  t.teardown(() => target.cleanup())
  const [a, b, c] = await freePorts(3)
  const row = (port: number, localReadyEndpoints: number, name = 'web'): HealthPort => ({
    port,
    namespace: 'shop',
    name,
    localReadyEndpoints,
  })
  const codes = async (...ports: (number | undefined)[]) =>
    (await Promise.all(ports.map((port) => get(port!)))).map((got) => got?.code ?? null)

  t.strictSame(await target.apply(delta(0, { x: row(a!, 2), y: row(b!, 0) })), [])
  t.strictSame(await codes(a, b, c), [200, 503, null])
  const got = await get(a!, '/any/path')
  t.strictSame(JSON.parse(got!.body), {
    service: { namespace: 'shop', name: 'web' },
    localEndpoints: 2,
    serviceProxyHealthy: true,
  })
  t.match(got!.headers, { 'x-load-balancing-endpoint-weight': '2', 'content-type': 'application/json' })

  healthy = false
  t.match(await get(a!), { code: 503, body: /"serviceProxyHealthy": false/ }, 'an unhealthy proxy takes no traffic')
  healthy = true
  await target.apply(delta(1, { x: row(a!, 0), y: row(b!, 1) }))
  t.strictSame(await codes(a, b), [503, 200])
  await target.apply(delta(2, { z: row(a!, 1, 'other') }, ['x']))
  t.match(await get(a!), { code: 200, body: /"name": "other"/ }, 'a port goes from one Service to another in one step')
  await target.apply(delta(3, { y: row(c!, 1) }))
  t.strictSame(await codes(a, b, c), [200, null, 200], 'a Service gets another port')
  await target.apply(delta(0, { y: row(c!, 3) }))
  t.strictSame(await codes(a, c), [null, 200], 'from nothing: what is not in it is closed')
  t.strictSame(await target.audit(), { clean: true })
  await target.cleanup()
  await target.cleanup()
  t.strictSame(await codes(c), [null])
})

t.test('a port that is taken harms itself only', async (t) => {
  const target = new HealthPorts(() => true)
  t.teardown(() => target.cleanup())
  const [free, port] = (await freePorts(2)) as [number, number]
  const other = createServer()
  await new Promise<void>((resolve) => void other.listen(port, resolve))
  const rows = {
    bad: { port, namespace: 'a', name: 'bad', localReadyEndpoints: 1 },
    good: { port: free, namespace: 'a', name: 'good', localReadyEndpoints: 1 },
  }
  const refused = await target.apply(delta(0, rows))
  t.match(refused, [{ key: 'bad', reason: `port ${port} is taken by another process`, remedy: /ss -ltnp/ }])
  t.equal(refused.length, 1)
  t.equal((await get(free))?.code, 200)
  await new Promise((resolve) => other.close(resolve))
  t.strictSame(await target.apply(delta(1, rows)), [], 'tried again')
  t.equal((await get(port))?.code, 200)
})
