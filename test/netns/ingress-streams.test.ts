/** tcp-services, udp-services and ssl-passthrough through the shipped controller and proxy, while what they say changes. */
import { createSocket, type Socket as Datagrams } from 'node:dgram'
import { mkdirSync } from 'node:fs'
import { createServer, connect, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls, createServer as createTls } from 'node:tls'
import t, { type Test } from 'tap'
import { enterWorld, ip } from './world.ts'
await enterWorld()

import { carrier } from '../../src/kernel/carrier.ts'
import { start as startProcess } from '../../src/kernel/exec.ts'
import { selfSigned } from '../../src/ingress/selfsigned.ts'
import { end } from '../contract/carrier-process.ts'
import { backendObjects, CLASS, configMap, endpointsOf, ingress } from '../contract/ingress-objects.ts'
import { world } from '../contract/ingress-world.ts'
import type { Raw } from '../contract/service-objects.ts'
import { until } from './waiting.ts'

t.setTimeout(570_000)

t.test('ports of tcp-services and udp-services, while the ConfigMaps change', async (t) => {
  const { apply, call, begin } = await shipped(t)
  for (const [address, word] of Object.entries(NAMES)) {
    await echo(t, address, word)
    await answering(t, address, word)
  }
  await apply(CLASS, ...backend('one', '10.9.0.1'), ...backend('two', '10.9.0.2'), ...backend('none'))
  await apply(
    configMap('x/tcp', { 9000: 'x/one:db', 9001: 'x/one:70:PROXY:PROXY', 9002: 'x/none:70', 80: 'x/one:70' }),
    configMap('x/udp', { 9000: 'x/one:ask', 9003: 'x/one:53' }),
  )
  const controller = await begin('--tcp-services-configmap', 'x/tcp', '--udp-services-configmap', 'x/udp')
  const told = async (): Promise<string> => (await controller.ask('/statusz'))[1]
  await until('a port of the ingress itself is no stream', async () =>
    /ConfigMap x\/tcp.*data\[80\].*is a port of the ingress itself/s.test(await told()),
  )

  const live = await Client.open(t, 9000)
  t.equal(await live.says('one\n'), true)
  await live.echoes('first')
  const declared = await Client.open(t, 9001)
  declared.write(`PROXY TCP4 203.0.113.7 198.51.100.1 4000 9001\r\n`)
  t.equal(await declared.says('one\nPROXY TCP4 203.0.113.7 198.51.100.1 4000 9001\r\n'), true, 'read and written anew')
  t.equal(await (await Client.open(t, 9002)).ends(), '', 'a Service without endpoints takes nobody')
  const asking = client(t)
  await until('an answer', async () => (await ask(asking, 9000)) === 'one')

  await change(call, 'tcp', { 9000: 'x/two:db', 9002: null, 9004: 'x/one:db' })
  await change(call, 'udp', { 9000: 'x/two:ask', 9003: null, 9005: 'x/one:ask' })
  await until('who comes now gets another', async () => (await greeting(9000)) === 'two\n')
  await until('a new port', async () => (await greeting(9004)) === 'one\n')
  await until('a port that is gone', async () => (await greeting(9002)) === null)
  await live.echoes('after the change')
  await declared.echoes('with a header')
  await until('a new flow goes to another', async () => (await ask(client(t), 9000)) === 'two')
  await until('a new port of UDP', async () => (await ask(client(t), 9005)) === 'one')

  controller.child.kill('SIGKILL')
  await live.echoes('without a controller')
  t.equal(await greeting(9000), 'two\n')
  const next = await begin('--tcp-services-configmap', 'x/tcp', '--udp-services-configmap', 'x/udp')
  await change(call, 'tcp', { 9000: null, 9001: 'x/nobody:70', 9006: 'x/one:70:PROXY' })
  await until('refused to who is new', async () => (await greeting(9000)) === null)
  await live.echoes('its listener is gone')
  const wrong = /data\[9001\].*names the Service x\/nobody, which does not exist; not served/s
  await until('a Service that is not there is told', async () => wrong.test((await next.ask('/statusz'))[1]))
  await declared.echoes('and its Service')
  live.end()
  t.equal(await live.ends(), 'one\n' + live.sent, 'what was said last arrives, too')
})

t.test('ssl-passthrough, switched off and on while a connection lives', async (t) => {
  const { apply, call, begin } = await shipped(t)
  const inner = selfSigned({ ...VALID, names: ['in.org'], organization: 'Backend', commonName: 'in.org' })
  await ip('addr add 10.9.0.3/32 dev lo', 'addr add 10.9.0.4/32 dev lo')
  const secure = createTls({ cert: inner.chain, key: inner.key }, (socket) => {
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  t.teardown(() => void secure.close())
  secure.listen(7000, '10.9.0.3')
  const own = (name: string, address: string): Raw[] => backend(name, address)
  await apply(CLASS, ...own('secure', '10.9.0.3'), ...own('plain', '10.9.0.4'))
  const annotations = { 'ssl-passthrough': 'true' }
  await apply(
    ingress('x/through', { paths: { 'in.org/': 'secure:70' }, annotations }),
    ingress('x/ended', { paths: { 'out.org/': 'plain:70' } }),
  )
  await begin('--enable-ssl-passthrough')
  const issuer = async (name: string): Promise<string> => (await Secure.open(t, name))?.issuer ?? ''
  await until('the certificate of the backend', async () => (await issuer('in.org')) === 'Backend')
  t.not(await issuer('out.org'), 'Backend', 'TLS of another host ends here')
  const live = (await Secure.open(t, 'in.org'))!
  await live.echoes('through')

  const path = '/apis/networking.k8s.io/v1/namespaces/x/ingresses/through'
  const say = (value: string | null): Promise<Raw> =>
    call('PATCH', path, { metadata: { annotations: { 'nginx.ingress.kubernetes.io/ssl-passthrough': value } } })
  await say(null)
  await until('TLS ends here', async () => !['Backend', ''].includes(await issuer('in.org')))
  await live.echoes('on a connection of before')
  await say('true')
  await until('it goes through again', async () => (await issuer('in.org')) === 'Backend')
  await live.echoes('still')
  await call('PATCH', '/apis/discovery.k8s.io/v1/namespaces/x/endpointslices/secure-1', { endpoints: [] })
  await until('nobody is there', async () => (await issuer('in.org')) === '')
  await live.echoes('its endpoint is no longer named')
})

/** An API server with nothing in it, and a carrier; `begin` resolves once the carrier has all that there is. */
async function shipped(t: Test) {
  const { at, apply, call, start } = await world(t)
  const socket = join(at, 'proxy.sock')
  mkdirSync(join(at, 'state'))
  const proxy = startProcess([carrier, 'proxy', '--socket', socket, '--state', join(at, 'state')], { stdio: 'ignore' })
  t.teardown(() => end(proxy))
  const begin = async (...args: readonly string[]) => {
    const controller = start('--socket', socket, '--address', '127.0.0.1', ...args)
    await until('ready', async () => (await controller.ask('/readyz'))[0] === 200)
    return controller
  }
  return { apply, call, begin }
}

/** A Service of ports 70 (`db`) and, UDP, 53 (`ask`); its slice. */
function backend(name: string, ...addresses: readonly string[]): Raw[] {
  const ports = [
    { name: 'db', port: 70, protocol: 'TCP' },
    { name: 'ask', port: 53, protocol: 'UDP' },
  ]
  const endpoints = addresses.map((address) => ({ addresses: [address], conditions: { ready: true } }))
  return [
    backendObjects(`x/${name}`, [], { clusterIP: undefined, ports })[0]!,
    endpointsOf(`x/${name}`, endpoints, [
      { name: 'db', port: 7000 },
      { name: 'ask', port: 7000, protocol: 'UDP' },
    ]),
  ]
}

const change = (
  call: (method: 'PATCH', path: string, body: Raw) => Promise<Raw>,
  name: string,
  data: Readonly<Record<string, string | null>>,
): Promise<Raw> => call('PATCH', `/api/v1/namespaces/x/configmaps/${name}`, { data })

/** Says a word, then what it hears. */
async function echo(t: Test, address: string, word: string): Promise<void> {
  await ip(`addr add ${address}/32 dev lo`)
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    socket.write(`${word}\n`)
    socket.pipe(socket)
  })
  t.teardown(() => void server.close())
  await new Promise<void>((resolve) => server.listen(7000, address, resolve))
}

/** Answers each datagram with a word. */
async function answering(t: Test, address: string, word: string): Promise<void> {
  const server = createSocket('udp4', (_, { port, address: from }) => server.send(word, port, from))
  t.teardown(() => void server.close())
  await new Promise<void>((resolve) => server.bind(7000, address, resolve))
}

/** A connection that is held, and all that it heard. */
class Client {
  sent = ''
  #heard = ''
  #isOver = false
  readonly #socket: Socket

  static async open(t: Test, port: number): Promise<Client> {
    for (;;) {
      const found = await new Promise<Client | null>((resolve) => {
        const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
        t.teardown(() => void socket.destroy())
        socket.once('connect', () => resolve(new Client(socket)))
        socket.once('error', () => resolve(null)) // nobody listens there yet
      })
      if (found !== null) return found
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => (this.#heard += chunk.toString()))
    for (const event of ['end', 'error', 'close']) socket.on(event, () => (this.#isOver = true))
  }

  write(text: string): void {
    this.#socket.write(text)
  }

  end(): void {
    this.#socket.end()
  }

  /** Whether that is all that comes first. */
  async says(text: string): Promise<boolean> {
    await until(`hears ${JSON.stringify(text)}`, () => this.#isOver || this.#heard.length >= text.length)
    return this.#heard === text
  }

  /** A line that comes back. */
  async echoes(text: string): Promise<void> {
    this.sent += `${text}\n`
    this.#socket.write(`${text}\n`)
    await until(`${text} comes back`, () => {
      if (this.#isOver) throw new Error(`${text}: it was cut off, after ${JSON.stringify(this.#heard)}`)
      return this.#heard.endsWith(`${text}\n`)
    })
  }

  /** All that it heard, once that is all. */
  async ends(): Promise<string> {
    await until('the end', () => this.#isOver)
    return this.#heard
  }
}

/** What a new connection is greeted with; null: nobody listens. */
const greeting = (port: number): Promise<string | null> =>
  new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('data', (chunk: Buffer) => {
      resolve(chunk.toString())
      socket.destroy()
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED' ? null : ''))
    socket.once('close', () => resolve(''))
  })

function client(t: Test): Datagrams {
  const socket = createSocket('udp4')
  t.teardown(() => void socket.close())
  return socket
}

/** What is answered; null: nothing for a moment. */
async function ask(socket: Datagrams, port: number): Promise<string | null> {
  const heard = new Promise<string>((resolve) =>
    socket.removeAllListeners().once('message', (data) => resolve(data.toString())),
  )
  socket.once('error', () => {}) // nobody listens there yet
  socket.send('which', port, '127.0.0.1')
  return Promise.race([heard, new Promise<null>((resolve) => setTimeout(resolve, 1_000, null))])
}

/** A connection of TLS that is held; echoes what it is sent. */
class Secure {
  /** Of whom the certificate is. */
  readonly issuer: string
  readonly #next: (line: string) => Promise<boolean>

  /** null: nobody speaks TLS there. */
  static open(t: Test, servername: string): Promise<Secure | null> {
    return new Promise((resolve) => {
      const socket = connectTls({ host: '127.0.0.1', port: 443, servername, rejectUnauthorized: false })
      t.teardown(() => void socket.destroy())
      socket.once('error', () => resolve(null))
      socket.once('close', () => resolve(null))
      socket.once('secureConnect', () => {
        let heard = ''
        let isOver = false
        socket.on('data', (chunk: Buffer) => (heard += chunk.toString()))
        socket.once('close', () => (isOver = true))
        const next = async (line: string): Promise<boolean> => {
          socket.write(line)
          await until(`${line} comes back`, () => isOver || heard.endsWith(line))
          return !isOver
        }
        resolve(new Secure(String(socket.getPeerCertificate().issuer.O), next))
      })
    })
  }

  private constructor(issuer: string, next: (line: string) => Promise<boolean>) {
    this.issuer = issuer
    this.#next = next
  }

  async echoes(text: string): Promise<void> {
    if (!(await this.#next(`${text}\n`))) throw new Error(`${text}: it was cut off`)
  }
}

const NAMES = { '10.9.0.1': 'one', '10.9.0.2': 'two' } as const
const VALID = { notBefore: new Date('2026-01-01'), notAfter: new Date('2036-01-01') } as const
