/** Probes of the lab: over TLS, and when the first one is made. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { exec } from '../../src/kernel/exec.ts'
import type { ContainerSpec, HttpGet } from '../../src/lab/podspec.ts'
import { handle, watchHealth, type ProbeSubject } from '../../src/lab/probe.ts'
import type { ProbeAnswer, Prober } from '../../src/lab/prober.ts'

function subject(container: Partial<ContainerSpec> = {}, more: Partial<ProbeSubject> = {}): ProbeSubject {
  const prober = { ask: () => Promise.reject(new Error('not by this one')) } as unknown as Prober
  const enter = ['env'] as const
  return { container: { name: 'main', ...container }, host: '127.0.0.1', enter, prober, withDelays: false, pid: () => 1, ...more } // prettier-ignore
}

t.test('httpGet with scheme HTTPS: whatever the certificate', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lab-probe-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const words = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=elsewhere'.split(
    ' ',
  )
  const made = await exec(['openssl', ...words, '-keyout', key, '-out', cert])
  if (made.kind === 'missing') return t.comment('skipped: no openssl to make a certificate with')
  const seen: string[] = []
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers['user-agent']} ${request.headers['x-a']}`)
    if (request.url === '/never') return
    response.writeHead(Number(request.url!.slice(1)) || 200).end('hello')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => (server.close(), server.closeAllConnections()))
  const { port } = server.address() as AddressInfo
  const ask = (get: Partial<HttpGet>, timeoutMs = 60_000): Promise<ProbeAnswer> =>
    handle({ httpGet: { scheme: 'HTTPS', port, ...get } }, subject(), timeoutMs)

  t.same(await ask({ path: 'healthz', httpHeaders: [{ name: 'X-A', value: '1' }] }), { ok: true, detail: '200' })
  t.same(seen, ['GET /healthz kube-probe/fairlead 1'])
  t.match(await ask({ path: '/302' }), { ok: true }, 'redirects are not followed')
  for (const code of [404, 503]) t.same(await ask({ path: `/${code}` }), { ok: false, detail: `HTTP ${code}` })
  t.match(await ask({ path: '/never' }, 200), { ok: false, detail: /tim(ed |e)out/i }) // in words of curl: some of TLS differ
  t.match(await ask({ httpHeaders: [{ name: '@/etc/passwd', value: '' }] }), { ok: false, detail: /begins with @/ })
  const plain = await handle({ httpGet: { scheme: 'HTTPS', port: 1 } }, subject(), 60_000)
  t.match(plain, { ok: false, detail: /connect/i }, 'nobody listens')
})

t.test('initialDelaySeconds counts only when asked for', async (t) => {
  /** Whether it was asked at once, and in the end (when `waits`). */
  async function watch(initialDelaySeconds: number, withDelays: boolean, waits: boolean): Promise<string[]> {
    const over = new AbortController()
    const told: string[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    const ask = (): Promise<ProbeAnswer> => Promise.resolve({ ok: true, detail: '' })
    const events = {
      started: () => told.push('started'),
      ready: (isReady: boolean) => (told.push(`ready ${isReady}`), resolve()),
      failed: () => told.push('failed'),
    }
    const readinessProbe = { initialDelaySeconds, tcpSocket: { port: 80 } }
    watchHealth(subject({ readinessProbe }, { prober: { ask } as unknown as Prober, withDelays }), events, over.signal, over.signal) // prettier-ignore
    if (waits) await promise
    else await new Promise((next) => setImmediate(next))
    over.abort()
    return told
  }
  t.same(await watch(60, false, false), ['started', 'ready true'], 'at once')
  t.same(await watch(60, true, false), ['started'], 'not yet')
  t.same(await watch(0.02, true, true), ['started', 'ready true'], 'then')
})
