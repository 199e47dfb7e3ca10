/**
 * A real Pebble, its name server, and controllers that get certificates of it:
 *
 *     Issuing (leader) ──ACME──> pebble ──DNS──> pebble-challtestsrv: all names are FOLLOWER
 *         │ Secrets (memory)        └─HTTP, TLS──> replicas: LEADER, FOLLOWER; each answers from the rows that it follows
 *
 * In a network namespace of its own: ports are fixed.
 */
import { Resolver } from 'node:dns/promises'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { request } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSecureContext, createServer as createTlsServer, type TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import type { Key } from '../../src/core/delta.ts'
import { systemClock } from '../../src/core/clock.ts'
import { InputTable } from '../../src/core/table.ts'
import { answersPath, parseAnswers, revisionOf, rowsOf } from '../../src/ingress/acme/answers.ts'
import { openDirectory, trust, type Directory } from '../../src/ingress/acme/directory.ts'
import { Issuing } from '../../src/ingress/acme/issuing.ts'
import { MemoryReplicas, MemorySecrets } from '../../src/ingress/acme/memory.ts'
import { checkBy } from '../../src/ingress/acme/replicas.ts'
import { showNothing } from '../../src/ingress/acme/shown.ts'
import { openSolver } from '../../src/ingress/acme/solvers.ts'
import type { StoredSecret } from '../../src/ingress/acme/store.ts'
import type { Issuer, Wanted } from '../../src/ingress/acme/wanted.ts'
import type { Happening, World } from '../../src/ingress/acme/world.ts'
import type { ProxyRow, SecretRow } from '../../src/ingress/rows.ts'
import { selfSigned } from '../../src/ingress/selfsigned.ts'
import { build } from './build.ts'
import { startDaemon, until, type Daemon } from './process.ts'

export interface PebbleOptions {
  /** What goes wrong: PEBBLE_WFE_NONCEREJECT and the like. */
  readonly faults?: Readonly<Record<string, string>>
  /** Key ids and HMAC keys; without one of them no account is made. */
  readonly bindings?: Readonly<Record<string, string>>
  /** Who it asks for names: the port of a server on 127.0.0.1 instead of its own. */
  readonly dnsPort?: number
}

export class Pebble {
  readonly #folder: string
  readonly #daemons: readonly Daemon[]

  static async start({ faults = {}, bindings, dnsPort = DNS }: PebbleOptions = {}): Promise<Pebble> {
    const binaries = await Promise.all([build('pebble'), build('pebble-challtestsrv')])
    const [pebble, names] = binaries.map((built) => {
      if (built.kind !== 'built') throw new Error(built.hint)
      return built.binary
    })
    const folder = mkdtempSync(join(tmpdir(), 'fairlead-pebble-'))
    const own = selfSigned({
      ...{ names: ['localhost'], organization: 'Fairlead', commonName: 'localhost' },
      ...{ notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 86_400_000) },
    })
    writeFileSync(join(folder, 'cert.pem'), own.chain)
    writeFileSync(join(folder, 'key.pem'), own.key)
    const config = {
      ...{ listenAddress: `127.0.0.1:${ACME}`, managementListenAddress: `127.0.0.1:${MANAGEMENT}` },
      ...{ certificate: join(folder, 'cert.pem'), privateKey: join(folder, 'key.pem') },
      ...{ httpPort: HTTP, tlsPort: HTTPS, ocspResponderURL: '', keyAlgorithm: 'ecdsa' },
      ...{ domainBlocklist: ['blocked.test'], retryAfter: { authz: 1, order: 1 } },
      ...{ externalAccountBindingRequired: bindings !== undefined, externalAccountMACKeys: bindings ?? {} },
      profiles: {
        default: { description: 'for 90 days', validityPeriod: 90 * 86_400 },
        shortlived: { description: 'for 6 days', validityPeriod: 6 * 86_400 },
      },
    }
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ pebble: config }))
    trust([own.chain])
    const settings = Object.entries({
      PEBBLE_VA_NOSLEEP: '1',
      PEBBLE_WFE_NONCEREJECT: '0',
      PEBBLE_AUTHZREUSE: '0',
      ...faults,
    })
    const daemons = [
      startDaemon(
        [
          'env',
          ...settings.map(([name, value]) => `${name}=${value}`),
          pebble!,
          '-config',
          join(folder, 'config.json'),
          '-dnsserver',
          `127.0.0.1:${dnsPort}`,
        ],
        join(folder, 'pebble.log'),
      ),
      startDaemon(
        [
          ...([names!, '-http01', '', '-https01', '', '-doh', '', '-tlsalpn01', ''] as const),
          ...(['-dnsserver', `127.0.0.1:${DNS}`, '-management', `127.0.0.1:${NAMES}`] as const),
          ...(['-defaultIPv4', FOLLOWER, '-defaultIPv6', ''] as const),
        ],
        join(folder, 'names.log'),
      ),
    ]
    await Promise.race([
      Promise.all([
        ...[ACME, MANAGEMENT, NAMES].map((port) => until(`port ${port}`, () => accepts(port))),
        until('names are answered', async () => (await resolver().resolve4('up.example.test')).length > 0),
      ]),
      ...daemons.map((daemon) => daemon.failed),
    ])
    return new Pebble(folder, daemons)
  }

  private constructor(folder: string, daemons: readonly Daemon[]) {
    this.#folder = folder
    this.#daemons = daemons
  }

  /** Certificates issued since it was started. */
  get issued(): number {
    return this.log.split('Issued certificate serial').length - 1
  }

  /** Of the certificate that its own interface shows. */
  get authority(): string {
    return join(this.#folder, 'cert.pem')
  }

  get log(): string {
    return readFileSync(join(this.#folder, 'pebble.log'), 'utf8')
  }

  /** Of pebble-challtestsrv's management API: `set-txt`, `add-caa`. */
  async tell(what: string, body: object): Promise<void> {
    const answer = await fetch(`http://127.0.0.1:${NAMES}/${what}`, { method: 'POST', body: JSON.stringify(body) })
    if (!answer.ok) throw new Error(`${what}: HTTP status ${answer.status}`)
  }

  async stop(): Promise<void> {
    await Promise.all(this.#daemons.map((daemon) => daemon.stop()))
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** A controller's part that is on every node: it follows the answers and gives them, as the proxy will. */
export class Responder {
  readonly name: string
  /** Names that it was asked for. */
  readonly asked: string[] = []
  readonly #servers: readonly (Server | ReturnType<typeof createTlsServer>)[]
  readonly #unfollow: () => void
  #proxy: ReadonlyMap<Key, ProxyRow> = new Map()
  #secrets: ReadonlyMap<Key, SecretRow> = new Map()

  static async start(name: string, address: string, shared: Shared): Promise<Responder> {
    const responder = new Responder(name, address, shared)
    await Promise.all(
      responder.#servers.map(
        (server, i) => new Promise<void>((resolve) => server.listen([HTTP, HTTPS][i]!, address, resolve)),
      ),
    )
    return responder
  }

  private constructor(name: string, address: string, { secrets, replicas }: Shared) {
    this.name = name
    this.#servers = [this.#http(), this.#https()]
    replicas.put({ name, isLive: true, revision: null, address })
    this.#unfollow = secrets.follow(({ path, data }) => {
      if (path !== answersPath(NAMESPACE)) return
      const rows = rowsOf(parseAnswers(data['answers']))
      this.#proxy = rows.proxy
      this.#secrets = rows.secrets
      replicas.put({ name, isLive: true, revision: revisionOf(data['answers']!), address })
    })
  }

  async stop(): Promise<void> {
    this.#unfollow()
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))))
  }

  #http(): Server {
    return createServer((request, response) => {
      const host = (request.headers.host ?? '').replace(/:\d+$/, '')
      const token = /^\/\.well-known\/acme-challenge\/([\w-]+)$/.exec(request.url ?? '')?.[1]
      const row = [...this.#proxy.values()].find(
        (found) => found.kind === 'thumbprint' && (found.hosts.length === 0 || found.hosts.includes(host)),
      )
      this.asked.push(host)
      if (token === undefined || row?.kind !== 'thumbprint') response.writeHead(404).end()
      else response.setHeader('connection', 'close').end(`${token}.${row.thumbprint}`)
    })
  }

  #https(): ReturnType<typeof createTlsServer> {
    const server = createTlsServer({
      ALPNProtocols: ['acme-tls/1'],
      SNICallback: (host, done) => {
        const row = [...this.#secrets.values()].find((found) => found.kind === 'pair' && found.challenge === host)
        this.asked.push(host)
        if (row?.kind !== 'pair') done(new Error('unrecognized_name'))
        else done(null, createSecureContext({ cert: row.chain, key: row.key }))
      },
    })
    return server.on('secureConnection', (socket: TLSSocket) => socket.end())
  }
}

export interface Shared {
  readonly secrets: MemorySecrets
  readonly replicas: MemoryReplicas
  readonly happened: Happening[]
  readonly wanted: InputTable<Wanted>
}

export function share(): Shared {
  const wanted = new InputTable<Wanted>('wanted certificates')
  wanted.markSynced()
  return { secrets: new MemorySecrets(), replicas: new MemoryReplicas(), happened: [], wanted }
}

/** Two that answer; the server asks the second. */
export async function respond(t: Test, shared: Shared): Promise<Responder> {
  const both = [await Responder.start('leader', LEADER, shared), await Responder.start('follower', FOLLOWER, shared)]
  t.teardown(() => Promise.all(both.map((responder) => responder.stop())))
  return both[1]!
}

export async function issued(shared: Shared, leader: Leader): Promise<StoredSecret> {
  await until('a certificate', async () => (await shared.secrets.get('shop/tls')) !== null, {
    deadlineMs: 120_000,
  }).catch((error: unknown) => {
    throw new Error(`${stepOf(leader)}; ${JSON.stringify([...leader.issuing.problems.entries()])}`, { cause: error })
  })
  await until('it waits for its renewal', () => isDone(leader))
  return (await shared.secrets.get('shop/tls'))!
}

export const isDone = (leader: Leader): boolean => stepOf(leader).endsWith('renewal')

export const stepOf = (leader: Leader): string => leader.issuing.status.get('shop/tls')?.step ?? ''

export interface Leader {
  readonly issuing: Issuing
  /** Resolves when nothing is under way. */
  stop(): Promise<void>
}

/** `change`: of its world, what is to go wrong. */
export function lead(shared: Shared, change: Partial<World> = {}): Leader {
  const world: World = {
    ...{ namespace: NAMESPACE, secrets: shared.secrets, replicas: shared.replicas },
    ...{
      check: checkBy({ http: HTTP, https: HTTPS, isProxied: () => false }),
      open: openDirectory,
      solver: openSolver,
    },
    ...{ clock: systemClock, random: Math.random, onEvent: (event: Happening) => void shared.happened.push(event) },
    ...change,
  }
  const issuing = new Issuing(world, shared.wanted, showNothing())
  const ending = new AbortController()
  const running = issuing.run(ending.signal)
  return {
    issuing,
    stop: async () => {
      ending.abort()
      await running
    },
  }
}

export function issuerOf(change: Partial<Issuer> = {}): Issuer {
  return {
    ...{ name: 'pebble', directory: DIRECTORY, email: 'ops@example.test', challenge: 'http-01', dns: null },
    ...{ profile: null, binding: null },
    ...change,
  }
}

export function want(names: readonly string[], change: Partial<Wanted> = {}): Wanted {
  return {
    ...{ secret: 'shop/tls', names: [...names].sort(), issuer: issuerOf(), keyType: 'P-256' },
    ...{ renewBeforeMs: null, ingress: 'shop/front' },
    ...change,
  }
}

/** Every call goes to `real`, unless `fault` has something else in mind. */
export function faulty(real: Directory, fault: (call: string) => void | Promise<void>): Directory {
  return new Proxy(real, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return async (...args: unknown[]) => {
        await fault(`before ${String(name)}`)
        const result: unknown = await (member as (...all: unknown[]) => unknown).apply(target, args)
        await fault(`after ${String(name)}`)
        return result
      }
    },
  })
}

/** Pebble's management interface, whose certificate is its own. */
export function manage(path: string, body?: object): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request(
      `${MANAGEMENT_URL}/${path}`,
      { method: body === undefined ? 'GET' : 'POST', headers: { 'user-agent': 'a test' }, rejectUnauthorized: false },
      (answer) => {
        void answer.toArray().then((parts: Buffer[]) => {
          const text = Buffer.concat(parts).toString()
          if (answer.statusCode === 200) resolve(text)
          else reject(new Error(`${path}: ${answer.statusCode} ${text}`))
        }, reject)
      },
    )
    asked.on('error', reject)
    asked.end(body && JSON.stringify(body))
  })
}

function resolver(): Resolver {
  const found = new Resolver()
  found.setServers([`127.0.0.1:${DNS}`])
  return found
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

export const NAMESPACE = 'fairlead'
export const LEADER = '127.0.0.3'
export const FOLLOWER = '127.0.0.2'
const [ACME, MANAGEMENT, NAMES, DNS] = [14_000, 15_000, 8_055, 8_053]
/** Where it looks for what proves a name. */
export const [HTTP, HTTPS] = [5_002, 5_001]
export const DIRECTORY = `https://localhost:${ACME}/dir`
const MANAGEMENT_URL = `https://localhost:${MANAGEMENT}`
