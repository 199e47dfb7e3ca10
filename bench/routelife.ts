/** What happens to routes and to who serves them: a route changes, many change while others are served, a proxy starts. */
import { createServer, get, request, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { ECHO_PORT, ORIGIN, type Proxy } from './proxies.ts'
import { hostOf, pathOf, routeOf, type Size } from './routes.ts'
import type { Served } from './served.ts'

/** One route after the other is changed, of the first half: each from the API server's change to the first response that shows it, in ms. */
export async function changes(proxy: Proxy, served: Served, size: Size, count: number): Promise<number[]> {
  const times: number[] = []
  for (let round = 0; round < count; round++) {
    const [at, mark] = [(serial * 7919) % (size.routes >> 1), `m${serial++}`]
    const begun = performance.now()
    served.update(routeOf(at, size, mark))
    await shown(proxy, hostOf(at, size), pathOf(at), mark)
    times.push(performance.now() - begun)
    await wait(PAUSE_MS)
  }
  return times
}

/** Changes of routes that nothing else is looked for in, so many a second, until the signal aborts; returns how many. */
export async function churn(served: Served, size: Size, perSecond: number, signal: AbortSignal): Promise<number> {
  const begun = performance.now()
  let done = 0
  while (!signal.aborted) {
    for (; done < ((performance.now() - begun) / 1000) * perSecond; done++) {
      const at = size.routes - 1 - (done % Math.min(500, Math.floor(size.routes / 2)))
      served.update(routeOf(at, size, done % 2 === 0 ? undefined : `c${done}`))
    }
    await wait(5)
  }
  return done
}

/** Tunnels by `Upgrade`, in use until the signal aborts; returns how many were cut before. */
export async function hold(proxy: Proxy, count: number, signal: AbortSignal): Promise<{ cut: number; echoes: number }> {
  const told = { cut: 0, echoes: 0 }
  await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = await upgrade(proxy.ports.http)
      socket.on('error', () => {})
      socket.on('close', () => void (signal.aborted || told.cut++))
      socket.on('data', () => void told.echoes++)
      const asking = setInterval(() => socket.write('x'), 50)
      signal.addEventListener('abort', () => {
        clearInterval(asking)
        socket.destroy()
      })
    }),
  )
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve))
  return told
}

/** Who answers upgrades, and gives back what it gets. */
export async function startEcho(): Promise<Server> {
  const server = createServer((_, answer) => answer.end())
  server.on('upgrade', (_, socket) => {
    socket.on('error', () => {})
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    socket.pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(ECHO_PORT, ORIGIN, resolve))
  return server
}

/** Until it answers this path of the origin with 200. */
export async function answers({ who, ports, process: child }: Proxy, host: string, path: string): Promise<void> {
  const end = performance.now() + READY_MAX_MS
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${who} ended with ${child.exitCode}`)
    const status = await statusOf(ports.http, host, path).then(
      ({ status }) => status,
      () => 0,
    )
    if (status === 200) return
    if (performance.now() > end) throw new Error(`${who} does not answer ${host}${path}: ${status}`)
    await wait(status === 0 ? 2 : 10)
  }
}

async function shown(proxy: Proxy, host: string, path: string, mark: string): Promise<void> {
  const end = performance.now() + READY_MAX_MS
  for (;;) {
    const { location } = await statusOf(proxy.ports.http, host, path)
    if (location.includes(`//${mark}.`)) return
    if (performance.now() > end) throw new Error(`${host}${path} does not change`)
    await wait(0)
  }
}

const statusOf = (port: number, host: string, path: string): Promise<{ status: number; location: string }> =>
  new Promise((resolve, reject) => {
    const asked = get({ port, host: '127.0.0.1', path, headers: { host }, timeout: ANSWER_MAX_MS }, (answer) => {
      answer.resume()
      resolve({ status: answer.statusCode!, location: answer.headers.location ?? '' })
    })
    asked.on('error', reject)
    asked.on('timeout', () => asked.destroy(new Error('no answer')))
  })

const upgrade = (port: number): Promise<Duplex> =>
  new Promise((resolve, reject) => {
    const headers = { connection: 'Upgrade', upgrade: 'websocket' }
    const asked = request({ port, host: '127.0.0.1', path: '/echo', headers })
    asked.on('upgrade', (_, socket) => resolve(socket))
    asked.on('response', (answer) => reject(new Error(`no upgrade: ${answer.statusCode}`)))
    asked.on('error', reject)
    asked.end()
  })

const PAUSE_MS = 5
const READY_MAX_MS = 120_000
const ANSWER_MAX_MS = 30_000
let serial = 0
