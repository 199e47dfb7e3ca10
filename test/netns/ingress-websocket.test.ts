/** WebSockets through the shipped controller and proxy, while the configuration changes without pause and the controller dies. */
import { mkdirSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { enterWorld, ip } from './world.ts'
await enterWorld()

import { carrier } from '../../src/kernel/carrier.ts'
import { start as startProcess } from '../../src/kernel/exec.ts'
import { end } from '../contract/carrier-process.ts'
import { backendObjects, CLASS, endpointsOf, ingress } from '../contract/ingress-objects.ts'
import { world } from '../contract/ingress-world.ts'
import type { Raw } from '../contract/service-objects.ts'
import { echoServer } from './echo-websocket.ts'
import { until } from './waiting.ts'

t.setTimeout(570_000)

t.test('an echo that no change cuts', async (t) => {
  const { at, apply, call, start } = await world(t)
  await ip('addr add 10.77.0.1/32 dev lo', 'addr add 10.77.0.2/32 dev lo') // no endpoint is on loopback
  const [chat, other] = [await echoServer('chat', 8080), await echoServer('other', 8081)]
  t.teardown(() => Promise.all([chat.close(), other.close()]))
  const socket = join(at, 'proxy.sock')
  mkdirSync(join(at, 'state'))
  const proxy = startProcess([carrier, 'proxy', '--socket', socket, '--state', join(at, 'state')], { stdio: 'ignore' })
  t.teardown(() => end(proxy))
  const slice = (name: string, ...addresses: string[]): Raw =>
    endpointsOf(
      `x/${name}`,
      addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
      [{ name: 'http', port: name === 'chat' ? 8080 : 8081 }],
    )
  const service = (name: string): Raw => backendObjects(`x/${name}`, [], { clusterIP: undefined })[0]!
  await apply(CLASS, service('chat'), slice('chat', '10.77.0.1'), service('other'), slice('other', '10.77.0.1'))
  await apply(ingress('x/chat', { paths: { '/': 'chat' } }), ingress('x/churn', { paths: { 'churn.org/0': 'other' } }))
  const args = ['--socket', socket, '--address', '127.0.0.1']
  const controller = start(...args)
  await until('ready', async () => (await controller.ask('/readyz'))[0] === 200)
  const status = (path: string): Promise<number> => ask('churn.org', path)
  await until('all is served', async () => (await status('/0')) === 200)

  const echo = await Echo.open(t, 'ws://127.0.0.1/room')
  await echo.moves()
  const change = async (i: number): Promise<void> => {
    // Another path each time; and of the other Service an endpoint comes and goes, as pods of a rolling update do.
    if (i % 2 === 1) await call('PATCH', SLICE, slice('other', '10.77.0.1', ...(i % 4 === 1 ? ['10.77.0.2'] : [])))
    else await call('PATCH', INGRESS, { spec: ingress('x/churn', { paths: { [`churn.org/${i}`]: 'other' } })['spec'] })
  }
  for (let i = 1; i <= CHANGES; i++) await Promise.all([change(i), wait(10)])
  await until('the last of them is in force', async () => (await status(`/${CHANGES}`)) === 200)
  t.equal(await status('/0'), 404)
  await echo.moves()

  controller.child.kill('SIGKILL')
  await echo.moves()
  t.equal(await status(`/${CHANGES}`), 200, 'without a controller')
  const next = start(...args)
  await until('another controller has told all', async () => (await next.ask('/readyz'))[0] === 200)
  await change(CHANGES + 2)
  await until('what it says is in force', async () => (await status(`/${CHANGES + 2}`)) === 200)
  await echo.moves()
  t.same(echo.wrong, [])
  t.ok(echo.count >= 40, `${echo.count} echoes`)
})

/** The client of Node (undici), which sends a message when it has heard the one before. */
class Echo {
  count = 0
  readonly wrong: string[] = []
  readonly #socket: WebSocket
  readonly #ending = new AbortController()

  static async open(t: Test, url: string): Promise<Echo> {
    const socket = new WebSocket(url)
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve, { once: true })
      socket.addEventListener('error', () => reject(new Error('no WebSocket')), { once: true })
    })
    const echo = new Echo(socket)
    t.teardown(() => echo.#end())
    return echo
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket
    const { signal } = this.#ending
    socket.addEventListener('error', () => this.wrong.push('an error'), { signal })
    socket.addEventListener('close', ({ code, reason }) => this.wrong.push(`closed: ${code} ${reason}`), { signal })
    socket.addEventListener('message', ({ data }) => {
      if (data !== `message ${this.count}`) this.wrong.push(`${data} instead of message ${this.count}`)
      this.count++
      socket.send(`message ${this.count}`)
    })
    socket.send('message 0')
  }

  async moves(): Promise<void> {
    const wanted = this.count + 10
    await until('messages go on', () => this.count >= wanted || this.wrong.length > 0)
  }

  #end(): void {
    this.#ending.abort()
    this.#socket.close()
  }
}

/** Status; 0: none. */
const ask = (host: string, path: string): Promise<number> =>
  new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port: 80, path, headers: { host }, agent: false }, (answer) => {
      answer.resume()
      answer.on('end', () => resolve(answer.statusCode!))
    })
    asked.on('error', () => resolve(0))
    asked.end()
  })

/** At 100 a second, where the machine is as fast. */
const CHANGES = 400
const INGRESS = '/apis/networking.k8s.io/v1/namespaces/x/ingresses/churn'
const SLICE = '/apis/discovery.k8s.io/v1/namespaces/x/endpointslices/other-1'
