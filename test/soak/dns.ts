/** The shipped DNS, controller and carrier, while its cluster changes without pause: each answer is what the names say. */
import { UdpClient } from '../contract/dns-client.ts'
import { labelsOf, TYPES, type Message } from '../contract/dns-message.ts'
import { NameRoom, ZONES } from '../contract/dns-room.ts'
import { residentKiB, ShippedDns } from '../contract/dns-shipped.ts'
import { Fake } from '../../src/dns/fake.ts'
import type { NameRecord } from '../../src/dns/rows.ts'
import { Cluster } from './cluster.ts'

export interface Outcome {
  readonly problems: readonly string[]
  readonly summary: string
}

/** Runs so long, or until it is told to stop, or three answers were wrong. */
export async function soak(durationMs: number, stop: AbortSignal): Promise<Outcome> {
  const ends: (() => Promise<void>)[] = []
  const dns = await ShippedDns.make({ teardown: (end) => void ends.push(end) })
  const client = new UdpClient(dns.port)
  const soak = new Soak(dns, client)
  try {
    await soak.run(performance.now() + durationMs, stop)
    return soak.outcome()
  } finally {
    client.close()
    for (const end of ends) await end()
  }
}

class Soak {
  readonly #dns: ShippedDns
  readonly #client: UdpClient
  readonly #cluster = new Cluster(Math.random)
  readonly #wrong: string[] = []
  readonly #memory: Memory[] = []
  #changes = 0
  #queries = 0

  constructor(dns: ShippedDns, client: UdpClient) {
    this.#dns = dns
    this.#client = client
  }

  async run(endAt: number, stop: AbortSignal): Promise<void> {
    const dns = this.#dns
    let before = this.#names()
    dns.write(this.#cluster.objects())
    dns.startCarrier()
    dns.startController()
    await this.#settled(before, before)
    let sampleAt = 0
    while (performance.now() < endAt && !stop.aborted && this.#wrong.length < WRONG_MAX) {
      this.#cluster.change()
      const now = this.#names()
      dns.write(this.#cluster.objects())
      this.#changes++
      await this.#settled(before, now)
      for (let left = BATCHES; left > 0; left--) await this.#ask(now, now)
      before = now
      if (performance.now() < sampleAt) continue
      sampleAt = performance.now() + SAMPLE_MS
      this.#memory.push(this.#measure())
    }
  }

  outcome(): Outcome {
    const problems = this.#wrong.map((wrong) => `a wrong answer: ${wrong}`)
    // What is held only grows at first: the second quarter against the second half.
    const [quarter, half] = [0.25, 0.5].map((part) => Math.floor(this.#memory.length * part))
    const peak = (from: number, to: number, who: keyof Memory): number =>
      Math.max(0, ...this.#memory.slice(from, to).map((held) => held[who]))
    const peaks = (Object.keys(GROWTH_KIB) as (keyof Memory)[]).map((who) => {
      const [then, now] = [peak(quarter!, half!, who), peak(half!, Infinity, who)]
      if (then > 0 && now - then > GROWTH_KIB[who]) problems.push(`the ${who} grew from ${then} KiB to ${now} KiB`)
      return `${who} ${then} -> ${now} KiB`
    })
    if (this.#changes === 0) problems.push('there was no time for a change')
    const counts = `${this.#changes} changes, ${this.#queries} queries, ${this.#wrong.length} wrong`
    return { problems, summary: `${counts}; at most, before and after half time: ${peaks.join(', ')}` }
  }

  /** What the objects come to now. */
  #names(): Fake {
    return new NameRoom(OPTIONS, this.#cluster.objects()).fake
  }

  /** Ends when the carrier answers from `now`; until then answers are those of either. */
  async #settled(before: Fake, now: Fake): Promise<void> {
    const deadline = performance.now() + SETTLE_MS
    const marker = { labels: labelsOf(MARKER), type: TYPES.A }
    for (;;) {
      const { answer } = await this.#client.ask(marker, SETTLE_MS)
      if (answer.join().endsWith(` ${this.#cluster.marker}`)) return
      if (performance.now() > deadline) throw new Error(`a change is not in force: ${this.#dns.said}`)
      if (this.#changes > 0) await this.#ask(before, now)
    }
  }

  async #ask(before: Fake, now: Fake): Promise<void> {
    await Promise.all(
      Array.from({ length: AT_A_TIME }, async () => {
        const { name, type } = this.#cluster.question()
        const given = shown(await this.#client.ask({ labels: labelsOf(name), type: TYPES[type], edns: 1232 }))
        this.#queries++
        const right = [before, now].map((fake) => expected(fake, name, type))
        if (!right.includes(given))
          this.#wrong.push(`${name} ${type}: ${given}, not ${[...new Set(right)].join(' or ')}`)
      }),
    )
  }

  #measure(): Memory {
    const { supervisor, worker, controller } = this.#dns
    const [a, b, c] = [supervisor, worker, controller].map((pid) => (pid === null ? 0 : residentKiB(pid)))
    return { supervisor: a!, worker: b!, controller: c! }
  }
}

/** Resident, in KiB. */
interface Memory {
  readonly supervisor: number
  readonly worker: number
  readonly controller: number
}

function shown({ rcode, answer }: Message): string {
  return `${rcode} ${answer.join('; ')}`
}

function expected(fake: Fake, name: string, type: string): string {
  const { code, answers } = fake.ask(name, type)
  const lines = answers.map(({ name, record }) => `${name} ${record.ttl ?? TTL} ${record.type} ${data(record)}`)
  return `${code === 'NXDOMAIN' ? 3 : 0} ${[...new Set(lines)].sort().join('; ')}`
}

function data(record: NameRecord): string {
  if ('ip' in record) return record.ip
  if ('texts' in record) return record.texts.join()
  return record.type === 'SRV' ? `${record.priority} ${record.weight} ${record.port} ${record.target}` : record.target
}

/** As the Corefile of ShippedDns has it. */
const OPTIONS = { pods: 'insecure', zones: ZONES } as const
const TTL = 30
const MARKER = 'marker.x.svc.cluster.local.'
const AT_A_TIME = 32
/** Of questions between two changes. */
const BATCHES = 20
const WRONG_MAX = 3
const SETTLE_MS = 60_000
const SAMPLE_MS = 1_000
/** More than that in the second half is a leak; a collector of garbage takes its time. */
const GROWTH_KIB: Readonly<Record<keyof Memory, number>> = {
  supervisor: 8 * 1024,
  worker: 8 * 1024,
  controller: 64 * 1024,
}
