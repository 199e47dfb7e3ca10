/** Layer-7 proxies before the same origin: CPU for each request, times at a fixed load, many routes, changes, starts. */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { spareCertificate } from '../../src/ingress/selfsigned.ts'
import { ended } from '../../test/netns/waiting.ts'
import { ip } from '../../test/netns/world.ts'
import { findDebian } from '../debian.ts'
import { persist } from '../generator.ts'
import { favoured } from '../pinned.ts'
import * as proxies from '../proxies.ts'
import type { Proxy, Surroundings, Who } from '../proxies.ts'
import { residentMB } from '../queries.ts'
import { Served } from '../served.ts'
import { byRound, EQUAL, figure, median, quantile, withShare, type Check, type Report } from '../report.ts'
import { ask, shakeHands, type Answers, type Asking } from '../requests.ts'
import { answers, changes, churn, hold, startEcho } from '../routelife.ts'
import { hostOf, objectsOf, pathOf, type Size } from '../routes.ts'

interface Case {
  readonly what: string
  readonly each: string
  readonly asking: Omit<Asking, 'seconds'> | { readonly resumed: boolean }
}

/** Of ours with many routes. */
interface Life {
  readonly size: Size
  readonly residentMB: number
  readonly requests: readonly Answers[]
  readonly changed: readonly number[]
  readonly churned: readonly number[]
  readonly kept: { readonly changes: number; readonly requests: number; readonly failed: number; readonly cut: number }
  readonly starts: readonly number[]
}

export async function http(short: boolean, progress: (words: string) => void): Promise<Report> {
  const debian = await findDebian(proxies.PACKAGES)
  if (debian === null)
    return {
      tables: [],
      checks: [],
      charts: {},
      notes: ['http is left out: apt-get could not fetch nginx, HAProxy and h2load.'],
    }
  const results = new Map<Case, Map<Who, Answers[]>>()
  await Stage.with(ONE, debian, async (stage) => {
    for (const who of WHO) await stage.start(who)
    await stage.endController() // what follows the cluster rests while requests are measured
    for (const each of CASES) results.set(each, await rounds(each, stage, WHO, short, progress))
  })
  const lives: Life[] = []
  for (const size of short ? [MANY] : [MANY, MOST]) {
    progress(`http: ${figure(size.routes)} routes`)
    await Stage.with(size, debian, async (stage) => lives.push(await stage.live(short, progress)))
  }
  return reportOf(results, lives)
}

/** All take turns. */
async function rounds(
  each: Case,
  stage: Stage,
  of: readonly Who[],
  short: boolean,
  progress: (words: string) => void,
): Promise<Map<Who, Answers[]>> {
  const found = new Map<Who, Answers[]>(of.map((who) => [who, []]))
  for (const who of of) await stage.ask(who, each, 1)
  for (let round = 0; round < (short ? 2 : 5); round++) {
    progress(`http: ${each.what}, round ${round + 1}`)
    for (const who of of) {
      const told = await stage.ask(who, each, short ? 1 : 3)
      found.get(who)!.push(told)
    }
  }
  return found
}

/** A cluster, an origin, and the proxies before it; all gone at the end. */
class Stage {
  readonly #of: Surroundings
  readonly #size: Size
  readonly #served: Served
  readonly #started = new Map<Who, Proxy>()
  readonly #children: ChildProcess[] = []
  #controller: ChildProcess | null = null

  static async with<T>(size: Size, debian: Surroundings['debian'], use: (stage: Stage) => Promise<T>): Promise<T> {
    const ending = new AbortController()
    const pair = spareCertificate(new Date())
    await ip(`addr replace ${proxies.ORIGIN}/32 dev lo`)
    const served = await Served.of(objectsOf(size, pair))
    const stage = new Stage({ debian, pair, apiPort: served.port, signal: ending.signal }, size, served)
    stage.#children.push(...proxies.startOrigin(stage.#of))
    try {
      return await use(stage)
    } finally {
      ending.abort()
      await Promise.all(stage.#children.map(ended))
      served.close()
    }
  }

  private constructor(of: Surroundings, size: Size, served: Served) {
    this.#of = of
    this.#size = size
    this.#served = served
  }

  /** Resolves when it answers. */
  async start(who: Who): Promise<Proxy> {
    const proxy = who === 'Fairlead' ? this.#startFairlead() : START[who](this.#of)
    this.#started.set(who, proxy)
    this.#children.push(proxy.process)
    if (who === 'Fairlead') this.#startController()
    await answers(proxy, 'bench.example', '/')
    return proxy
  }

  ask(who: Who, { asking }: Pick<Case, 'asking'>, seconds: number): Promise<Answers> {
    const proxy = this.#started.get(who)!
    return persist(() =>
      'resumed' in asking
        ? shakeHands(proxy, asking.resumed, seconds, this.#of.debian)
        : ask(proxy, { ...asking, seconds }, this.#of.debian),
    )
  }

  async live(short: boolean, progress: (words: string) => void): Promise<Life> {
    const [size, served] = [this.#size, this.#served]
    const count = short ? 100 : 500
    let proxy = await this.start('Fairlead')
    const last = [hostOf(size.routes - 1, size), pathOf(size.routes - 1)] as const
    await answers(proxy, ...last)
    const requests = await this.#small(short)
    const residentBefore = residentMB(proxy)
    progress('http: changes')
    const changed = await favoured(() => changes(proxy, served, size, count))
    progress('http: changes while others change')
    const churned = await during(
      (signal) => churn(served, size, 100, signal),
      () => favoured(() => changes(proxy, served, size, count)),
    )
    progress('http: requests and tunnels while routes change')
    const kept = await this.#keep(proxy, short ? 5 : 20)
    await this.endController()
    const starts: number[] = []
    for (let round = 0; round < (short ? 3 : 5); round++) {
      proxy.process.kill('SIGKILL')
      await ended(proxy.process)
      const begun = performance.now()
      proxy = this.#startFairlead()
      this.#children.push(proxy.process)
      await answers(proxy, ...last)
      starts.push(performance.now() - begun)
    }
    return { size, residentMB: residentBefore, requests, changed, churned, kept, starts }
  }

  async #small(short: boolean): Promise<Answers[]> {
    const at = this.#size.routes >> 1
    const asking = { ...SMALL, host: hostOf(at, this.#size), path: pathOf(at) }
    const found: Answers[] = []
    for (let round = 0; round < (short ? 3 : 6); round++)
      found.push(await this.ask('Fairlead', { asking }, short ? 1 : 3))
    return found.slice(1)
  }

  /** Requests to a route that stays, and tunnels, while a hundred others change each second. */
  async #keep(proxy: Proxy, seconds: number): Promise<Life['kept']> {
    const echo = await startEcho()
    const ending = new AbortController()
    const [changing, holding] = [churn(this.#served, this.#size, 100, ending.signal), hold(proxy, 20, ending.signal)]
    const asking = { ...SMALL, rate: 2_000 }
    const { count, failed } = await this.ask('Fairlead', { asking }, seconds)
    ending.abort()
    const [changes, { cut }] = await Promise.all([changing, holding])
    echo.closeAllConnections()
    echo.close()
    return { changes, requests: count, failed, cut }
  }

  async endController(): Promise<void> {
    if (this.#controller === null) return
    this.#controller.kill('SIGKILL')
    await ended(this.#controller)
    this.#controller = null
  }

  #startFairlead(): Proxy {
    return proxies.startFairlead(this.#of, this.#state)
  }

  readonly #state = freshState()

  #startController(): void {
    this.#controller = proxies.startController(this.#of)
    this.#children.push(this.#controller)
  }
}

async function during<T>(meanwhile: (signal: AbortSignal) => Promise<unknown>, use: () => Promise<T>): Promise<T> {
  const ending = new AbortController()
  const running = meanwhile(ending.signal)
  await wait(200)
  const told = await use()
  ending.abort()
  await running
  return told
}

function freshState(): string {
  const folder = `/run/bench-http-state-${serial++}`
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  return folder
}

function reportOf(results: ReadonlyMap<Case, ReadonlyMap<Who, readonly Answers[]>>, lives: readonly Life[]): Report {
  const flat = [...results].flatMap(([of, found]) => [...found].map(([who, told]) => ({ of, who, told, found })))
  const isPaced = ({ asking }: Case): boolean => 'rate' in asking && asking.rate !== undefined
  const load = flat.filter(({ of }) => !isPaced(of))
  const paced = flat.filter(({ of }) => isPaced(of))
  const middle = (told: readonly Answers[], field: keyof Answers): number => median(told.map((each) => each[field]))
  const against = (found: ReadonlyMap<Who, readonly Answers[]>, who: Who, field: keyof Answers): number =>
    byRound(found.get('Fairlead')!, found.get(who)!, (ours, theirs) => ours[field] / theirs[field])
  const one = results.get(CASES[0]!)!.get('Fairlead')!
  const peers: readonly Who[] = ['nginx', 'HAProxy']
  return {
    tables: [
      {
        title: 'http: what a request costs a proxy on one core (in brackets: of that, ours is)',
        columns: ['asked', 'who', 'CPU us', 'a second'],
        rows: load.map(({ of, who, told, found }) => [
          ...[`${of.what}, ${of.each}`, who, withShare(middle(told, 'cpuUs'), who, () => against(found, who, 'cpuUs'))],
          middle(told, 'rate'),
        ]),
      },
      {
        title: `http: ${figure(RATE)} requests a second, evenly, 64 connections`,
        columns: ['who', 'p50 us', 'p99 us', 'CPU us'],
        rows: paced.map(({ who, told, found }) => [
          ...[who, withShare(middle(told, 'p50Us'), who, () => against(found, who, 'p50Us'))],
          ...[withShare(middle(told, 'p99Us'), who, () => against(found, who, 'p99Us')), middle(told, 'cpuUs')],
        ]),
      },
      {
        title: 'http: many routes, ours',
        columns: [
          'routes',
          'CPU us',
          'of one route',
          'RSS MB',
          'change ms: p50',
          'p99',
          'among 100/s: p50',
          'p99',
          'cold start ms',
        ],
        rows: lives.map(({ size, requests, residentMB, changed, churned, starts }) => [
          ...[size.routes, middle(requests, 'cpuUs'), middle(requests, 'cpuUs') / middle(one, 'cpuUs'), residentMB],
          ...[changed, churned].flatMap((times) => [quantile(times, 0.5), quantile(times, 0.99)]),
          median(starts),
        ]),
      },
      {
        title: 'http: while 100 routes a second change',
        columns: ['routes', 'changes', 'requests', 'failed', 'tunnels cut, of 20'],
        rows: lives.map(({ size, kept }) => [size.routes, kept.changes, kept.requests, kept.failed, kept.cut]),
      },
    ],
    checks: [
      ...[...results].flatMap(([of, found]) =>
        peers.flatMap((who): Check[] =>
          isPaced(of)
            ? (['p50Us', 'p99Us'] as const).map((field) => ({
                ...{ what: `${field.slice(0, 3)} at ${figure(RATE)} a second, of ${who}'s`, unit: '' },
                ...{ value: against(found, who, field), target: { below: 1.1 } },
              }))
            : [{ what: `CPU, of ${who}'s: ${of.what}`, value: against(found, who, 'cpuUs'), unit: '', target: EQUAL }],
        ),
      ),
      {
        what: 'requests of the cases above that failed',
        value: flat
          .filter(({ who }) => who === 'Fairlead')
          .reduce((sum, { told }) => sum + told.reduce((all, { failed }) => all + failed, 0), 0),
        unit: '',
        target: { below: 1 },
      },
      ...lives
        .filter(({ size }) => size === MANY)
        .flatMap(({ requests, residentMB, churned, kept, starts }): Check[] => [
          {
            what: 'CPU with 5,000 routes, of one route',
            value: middle(requests, 'cpuUs') / middle(one, 'cpuUs'),
            unit: '',
            target: EQUAL,
          },
          { what: 'RSS with 5,000 routes', value: residentMB, unit: 'MB', target: { below: 50 } },
          {
            what: 'change to effect among 100 a second, p99',
            value: quantile(churned, 0.99),
            unit: 'ms',
            target: { below: 30 },
          },
          {
            what: 'requests failed, tunnels cut meanwhile',
            value: kept.failed + kept.cut,
            unit: '',
            target: { below: 1 },
          },
          { what: 'cold start with 5,000 routes', value: median(starts), unit: 'ms', target: { below: 1000 } },
        ]),
    ],
    charts: {
      http: {
        ...{ kind: 'bars', title: 'HTTP: CPU of the proxy for a request', unit: 'us', log: true },
        bars: load.map(({ of, who, told }) => ({
          ...{ label: `${who}, ${of.what}`.slice(0, 38), value: middle(told, 'cpuUs'), ours: who === 'Fairlead' },
        })),
      },
    },
    notes: [
      'Each proxy on a core of its own with one thread that serves, client (h2load; openssl s_time for handshakes) and origin on the other. All send the same nine headers of ingress-nginx to the origin and write no access log; ours counts its metrics.',
      'A handshake is TLS 1.3 with P-256 and one request. Cold start: from the start of the process, its controller away, to the answer of the last route; the routes are read from its disk.',
    ],
  }
}

const START: Readonly<Record<Exclude<Who, 'Fairlead'>, (of: Surroundings) => Proxy>> = {
  nginx: proxies.startNginx,
  HAProxy: proxies.startHaproxy,
}
const WHO: readonly Who[] = ['Fairlead', 'nginx', 'HAProxy']
const RATE = 6_400
const SMALL = { protocol: 'http', connections: 64, path: '/' } as const
const CASES: readonly Case[] = [
  { what: 'HTTP/1.1, small', each: 'a request', asking: SMALL },
  { what: 'HTTP/1.1, 1 MB', each: 'a request', asking: { ...SMALL, path: '/large' } },
  { what: 'TLS, small', each: 'a request', asking: { ...SMALL, protocol: 'https' } },
  { what: 'TLS handshakes, full', each: 'one with a request', asking: { resumed: false } },
  { what: 'TLS handshakes, resumed', each: 'one with a request', asking: { resumed: true } },
  {
    ...{ what: 'HTTP/2, 8 x 32 streams', each: 'a request' },
    asking: { protocol: 'https', http2: true, connections: 8, streams: 32, path: '/' },
  },
  {
    ...{ what: 'gRPC unary, 8 x 32 streams', each: 'a call' },
    asking: { protocol: 'https', http2: true, connections: 8, streams: 32, path: '/grpc.bench/Unary', grpc: true },
  },
  { what: 'paced', each: 'a request', asking: { ...SMALL, rate: RATE } },
]
const ONE: Size = { routes: 1, hosts: 1 }
const MANY: Size = { routes: 5_000, hosts: 10 }
const MOST: Size = { routes: 50_000, hosts: 10 }
let serial = 0
