/** DNS servers with the names of the same cluster: CPU for each answer, times at a fixed load, changes, restarts, memory. */
import type { ChildProcess } from 'node:child_process'
import { builtPath, versionOf } from '../../test/cluster/build.ts'
import { ended } from '../../test/netns/waiting.ts'
import { servicesOf, slicesOf, type Size } from '../cluster.ts'
import { findDebian } from '../debian.ts'
import { persist } from '../generator.ts'
import { changes, restarts } from '../namelife.ts'
import { favoured, pinAgain, SERVER_CORE } from '../pinned.ts'
import { query, residentMB, type Answers, type Asking } from '../queries.ts'
import { Served } from '../served.ts'
import { byRound, EQUAL, figure, median, quantile, withShare, type Check, type Report } from '../report.ts'
import * as resolvers from '../resolvers.ts'
import type { Programs, Resolver, Surroundings, Who } from '../resolvers.ts'

interface Case extends Pick<Asking, 'questions' | 'tcp' | 'rate'> {
  readonly what: string
  readonly size: Size
  readonly of: readonly Who[]
  /** Whose CPU ours is promised not to exceed. */
  readonly promised: readonly Who[]
}

/** Of one start: RSS of carrier when all is known, and from kill to answer with and without a controller. */
interface Life {
  readonly size: Size
  readonly names: number
  readonly residentMB: number
  readonly withController: readonly number[]
  readonly alone: readonly number[]
}

export async function dns(short: boolean, progress: (words: string) => void): Promise<Report> {
  const programs: Programs = { debian: await findDebian(resolvers.PACKAGES), coreDns: await builtPath('coredns') }
  const notes: string[] = []
  if (programs.debian === null) notes.push('unbound and knot are left out: apt-get could not fetch them.')
  notes.push(
    programs.coreDns === null
      ? 'CoreDNS is left out: bin/test components builds it, with Go.'
      : `CoreDNS is ${await versionOf('coredns')}.`,
  )
  const results = new Map<Case, Map<Who, Answers[]>>()
  const lives: Life[] = []
  const changed = new Map<Who, number[]>()
  const cases = casesOf(programs)
  for (const [size, ofSize] of Map.groupBy(cases, (each) => each.size)) {
    progress(`dns: ${figure(size.services)} services of ${size.endpoints} endpoints: servers start`)
    await Stage.with(size, programs, async (stage) => {
      for (const who of WHO.filter((who) => ofSize.some(({ of }) => of.includes(who)))) {
        await stage.start(who)
        if (size !== LARGE || (who !== 'Fairlead' && who !== 'CoreDNS')) continue
        progress(`dns: changes, ${who}`)
        changed.set(who, await stage.changes(who, short || who === 'CoreDNS' ? 100 : 500))
        if (who === 'Fairlead') await stage.endController()
      }
      // What follows the cluster rests while answers are measured.
      await stage.endController()
      for (const each of ofSize) results.set(each, await rounds(each, stage, short, progress))
    })
  }
  for (const size of short ? [HUNDRED_THOUSAND] : [HUNDRED_THOUSAND, LARGE]) {
    progress(`dns: memory and restarts, ${figure(namesOf(size))} names`)
    await Stage.with(size, programs, async (stage) => lives.push(await stage.live(short ? 3 : 5)))
  }
  return reportOf(results, lives, changed, notes)
}

function casesOf({ debian, coreDns }: Programs): Case[] {
  const peers: Who[] = debian === null ? [] : ['unbound', 'knot']
  const all: Who[] = ['Fairlead', ...peers, ...(coreDns === null ? [] : ['CoreDNS' as const]), 'canned answer']
  const caching = all.filter((who) => who !== 'knot')
  const streaming = all.filter((who) => who !== 'canned answer')
  const promised = peers
  return [
    { what: '10 services', questions: 'services', size: SMALL, of: all, promised },
    { what: '10,000 services, 100,000 endpoints', questions: 'services', size: LARGE, of: all, promised },
    { what: 'the search list of pods: 4 of 5 denied', questions: 'search list', size: LARGE, of: all, promised },
    ...(debian === null
      ? []
      : [
          {
            what: 'names outside, cached',
            questions: 'outside' as const,
            size: LARGE,
            of: caching,
            promised: ['unbound' as const],
          },
        ]),
    { what: 'over TCP', questions: 'services', tcp: true, size: LARGE, of: streaming, promised },
    { what: PACED, questions: 'services', rate: RATE, size: LARGE, of: all, promised: [] },
  ]
}

/** All take turns. */
async function rounds(
  each: Case,
  stage: Stage,
  short: boolean,
  progress: (words: string) => void,
): Promise<Map<Who, Answers[]>> {
  const found = new Map<Who, Answers[]>(each.of.map((who) => [who, []]))
  const asking = { ...each, services: each.size.services }
  // What is asked for the first time is fetched, or read from memory that nobody has looked at.
  for (const who of each.of) await persist(() => query(stage.resolver(who), { ...asking, seconds: 0.3 }))
  for (let round = 0; round < (short ? 2 : 5); round++) {
    progress(`dns: ${each.what}, round ${round + 1}`)
    for (const who of each.of) {
      const answers = persist(async () => {
        const taken = await query(stage.resolver(who), { ...asking, seconds: short ? 0.8 : 2 })
        if (taken.failed > 0) throw new Error(`${who}, ${each.what}: ${taken.failed} of ${taken.count} failed`)
        return taken
      })
      found.get(who)!.push(await answers)
    }
  }
  return found
}

/** A cluster, and the servers that answer its names; all gone at the end. */
class Stage {
  readonly #of: Surroundings
  readonly #served: Served
  readonly #started = new Map<Who, Resolver>()
  #controller: ChildProcess | null = null

  static async with(size: Size, programs: Programs, use: (stage: Stage) => Promise<unknown>): Promise<void> {
    const ending = new AbortController()
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'bench' } }
    const served = await Served.of([namespace, ...servicesOf(size), ...slicesOf(size)])
    const [apiPort, { signal }] = [served.port, ending]
    const stage = new Stage({ size, programs, apiPort, upstreamPort: resolvers.UPSTREAM_PORT, signal }, served)
    const children = stage.#children
    try {
      if (programs.debian !== null) children.push(resolvers.startKnot(stage.#of, 'example.').process)
      await use(stage)
    } finally {
      ending.abort()
      await Promise.all(children.map(ended))
      served.close()
    }
  }

  readonly #children: ChildProcess[] = []

  private constructor(of: Surroundings, served: Served) {
    this.#of = of
    this.#served = served
  }

  /** Resolves when it answers the last name. */
  async start(who: Who): Promise<Resolver> {
    const resolver = START[who](this.#of)
    this.#started.set(who, resolver)
    this.#children.push(resolver.process)
    if (who === 'Fairlead') this.#startController()
    await resolvers.answers(resolver, resolvers.nameOf(this.#of.size.services - 1))
    await pinAgain(resolver.process, SERVER_CORE)
    return resolver
  }

  resolver(who: Who): Resolver {
    return this.#started.get(who)!
  }

  changes(who: Who, count: number): Promise<number[]> {
    return favoured(async () => {
      const of = [this.resolver(who), this.#served, this.#of.size] as const
      await changes(...of, WARM_UP)
      return changes(...of, count)
    })
  }

  async live(count: number): Promise<Life> {
    const { size } = this.#of
    const resolver = await this.start('Fairlead')
    await changes(resolver, this.#served, size, 100)
    const mb = residentMB(resolver)
    const withController = await favoured(() => restarts(resolver, size, count))
    await this.endController()
    const alone = await favoured(() => restarts(resolver, size, count))
    return { size, names: namesOf(size), residentMB: mb, withController, alone }
  }

  async endController(): Promise<void> {
    if (this.#controller === null) return
    this.#controller.kill('SIGKILL')
    await ended(this.#controller)
    this.#controller = null
  }

  #startController(): void {
    this.#controller = resolvers.startController(this.#of)
    this.#children.push(this.#controller)
  }
}

function reportOf(
  results: ReadonlyMap<Case, ReadonlyMap<Who, readonly Answers[]>>,
  lives: readonly Life[],
  changed: ReadonlyMap<Who, readonly number[]>,
  notes: readonly string[],
): Report {
  const flat = [...results].flatMap(([of, found]) => [...found].map(([who, answers]) => ({ of, who, answers, found })))
  const load = flat.filter(({ of }) => of.rate === undefined)
  const paced = flat.filter(({ of }) => of.rate !== undefined)
  const middle = (answers: readonly Answers[], field: keyof Answers): number =>
    median(answers.map((each) => each[field]))
  const against = (found: ReadonlyMap<Who, readonly Answers[]>, who: Who, field: keyof Answers): number =>
    byRound(found.get('Fairlead')!, found.get(who)!, (ours, theirs) => ours[field] / theirs[field])
  return {
    tables: [
      {
        title: `dns: what an answer costs a server on one core (in brackets: of that, ours is)`,
        columns: ['asked', 'who', 'CPU us', 'soft interrupts us', 'answers/s', 'p50 us', 'p99 us', 'lost'],
        rows: load.map(({ of, who, answers, found }) => [
          ...[of.what, who, withShare(middle(answers, 'cpuUs'), who, () => against(found, who, 'cpuUs'))],
          ...FIELDS.map((field) => middle(answers, field)),
          answers.reduce((sum, { lost }) => sum + lost, 0),
        ]),
      },
      {
        title: `dns: ${figure(RATE)} queries a second, evenly, 10,000 services`,
        columns: ['who', 'p50 us', 'p99 us', 'CPU us', 'lost'],
        rows: paced.map(({ who, answers, found }) => [
          ...[
            who,
            middle(answers, 'p50Us'),
            withShare(middle(answers, 'p99Us'), who, () => against(found, who, 'p99Us')),
          ],
          ...[middle(answers, 'cpuUs'), answers.reduce((sum, { lost }) => sum + lost, 0)],
        ]),
      },
      {
        title: 'dns: an endpoint of 10,000 services changes, ms from the API server to the first answer that has it',
        columns: ['who', 'changes', 'p50', 'p99', 'max'],
        rows: [...changed].map(([who, times]) => [
          ...[who, times.length],
          ...[0.5, 0.99, 1].map((part) => quantile(times, part)),
        ]),
      },
      {
        title: 'dns: memory, and a worker that is killed',
        columns: [
          'services',
          'names',
          'carrier RSS MB',
          'kill to answer ms: p50',
          'max',
          'without controller: p50',
          'max',
        ],
        rows: lives.map(({ size, names, residentMB, withController, alone }) => [
          ...[size.services, names, residentMB, median(withController), quantile(withController, 1)],
          ...[median(alone), quantile(alone, 1)],
        ]),
      },
    ],
    checks: [
      ...[...results].flatMap(([of, found]) =>
        of.promised.map((who): Check => ({
          what: `CPU an answer, of ${who}'s: ${of.what}`,
          value: against(found, who, 'cpuUs'),
          unit: '',
          target: EQUAL,
        })),
      ),
      ...paced
        .filter(({ who }) => who === 'unbound' || who === 'knot')
        .map(({ who, found }): Check => ({
          ...{ what: `p99 at ${figure(RATE)} a second, of ${who}'s`, value: against(found, who, 'p99Us'), unit: '' },
          target: { below: 1.1 },
        })),
      ...[...changed]
        .filter(([who]) => who === 'Fairlead')
        .map(([, times]): Check => ({
          what: 'change to answer, p99',
          value: quantile(times, 0.99),
          unit: 'ms',
          target: { below: 10 },
        })),
      ...lives
        .filter(({ size }) => size === HUNDRED_THOUSAND)
        .flatMap(({ residentMB, withController, alone }): Check[] => [
          { what: 'carrier of 100,000 names', value: residentMB, unit: 'MB', target: { below: 64 } },
          { what: 'kill to answer, 100,000 names', value: median(withController), unit: 'ms', target: { below: 100 } },
          { what: 'the same without a controller', value: median(alone), unit: 'ms', target: { below: 100 } },
        ]),
    ],
    charts: {
      dns: {
        ...{ kind: 'bars', title: 'DNS: CPU of the server for an answer', unit: 'us', log: true },
        bars: load.map(({ of, who, answers }) => ({
          ...{ label: `${who}, ${of.what}`.slice(0, 38), value: middle(answers, 'cpuUs'), ours: who === 'Fairlead' },
        })),
      },
    },
    notes: [
      ...notes,
      'Each server on a core of its own with one thread that answers over UDP, the client on the other; 64 queries at a time. "Canned answer" has the system calls of ours and looks nothing up: what lies below it is the kernel.',
      "Ours and CoreDNS (kubernetes plugin) run kubeadm's Corefile against the lab's API server; knot has the names as a zone, unbound as local data. Asked are names of Services; the search list is what glibc sends with ndots:5 for a Service of the namespace and a name outside, A and AAAA.",
      'Changes are of endpoints; asked is once a millisecond. RSS is of supervisor and worker together, what they share counted twice.',
    ],
  }
}

/** Of a Service: itself, its port, its address; of an endpoint: itself, its address. */
const namesOf = ({ services, endpoints }: Size): number => services * (3 + 2 * endpoints)

const START: Readonly<Record<Who, (of: Surroundings) => Resolver>> = {
  Fairlead: (of) => resolvers.startFairlead(of),
  unbound: resolvers.startUnbound,
  knot: (of) => resolvers.startKnot(of, 'cluster.local.'),
  CoreDNS: resolvers.startCoreDns,
  'canned answer': resolvers.startCanned,
}
const WHO = Object.keys(START) as Who[]
const SMALL: Size = { services: 10, endpoints: 10 }
const LARGE: Size = { services: 10_000, endpoints: 10 }
const HUNDRED_THOUSAND: Size = { services: 4_348, endpoints: 10 }
const FIELDS = ['softirqUs', 'rate', 'p50Us', 'p99Us'] as const
const RATE = 10_000
const WARM_UP = 50
const PACED = `${RATE} a second`
