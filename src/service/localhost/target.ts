import type { Delta, Drift, Key, Refused, Target } from '../../core/delta.ts'
import { startRelay, type Relay, type StartRelay, type Unopened } from '../../kernel/relay.ts'
import type { LocalhostPort } from '../nodeports.ts'

/**
 * Node ports on loopback addresses: sockets of a relay that connects, as a process of this node, to where the kernel
 * serves them. So no packet with a loopback address ever leaves the loopback device (route_localnet stays off,
 * CVE-2020-8558), and policies of traffic stay the kernel's. There is a relay only while there are such ports.
 */
export class LocalhostTarget implements Target<LocalhostPort> {
  readonly name = 'localhost'
  readonly #start: StartRelay
  readonly #onEnd: (why: string) => void
  #relay: Relay | null = null
  readonly #open = new Map<Key, LocalhostPort>()
  readonly #refused = new Map<Key, LocalhostPort>()

  /** `onEnd`: the relay ended, and with it all connections: everything is due anew. */
  constructor(onEnd: (why: string) => void, start: StartRelay = startRelay) {
    this.#onEnd = onEnd
    this.#start = start
  }

  async apply(delta: Delta<LocalhostPort>): Promise<readonly Refused[]> {
    const gone = delta.from === 0 ? [...this.#held()].filter((key) => !delta.put.has(key)) : [...delta.drop]
    // A port may go from one Service to another in one delta: closed in the order of orders, before any is opened.
    const closed = gone.map((key) => this.#close(key))
    const answers = [...delta.put].map(async ([key, row]) => ({ key, row, unopened: await this.#lead(key, row) }))
    const [results] = await Promise.all([Promise.all(answers), Promise.all(closed)])
    const refused = results.flatMap(({ key, row, unopened }) =>
      unopened === null ? [] : [refusal(key, row, unopened)],
    )
    if (this.#open.size === 0 && this.#refused.size === 0) this.close()
    return refused
  }

  /** Sockets of our own cannot be changed by others; but a port that was taken may be free by now. */
  async audit(): Promise<Drift> {
    for (const [key, row] of [...this.#refused]) {
      if ((await this.#lead(key, row)) === null) return { clean: false, detail: `${key} was taken and is free now` }
    }
    return { clean: true }
  }

  /** Sockets end with the relay, and the relay with us. */
  cleanup(): Promise<void> {
    this.close()
    return Promise.resolve()
  }

  /** Lets nobody in any more; TCP connections that stand go on. */
  close(): void {
    this.#relay?.end()
    this.#relay = null
    this.#open.clear()
    this.#refused.clear()
  }

  async #lead(key: Key, row: LocalhostPort): Promise<Unopened | null> {
    const unopened = await this.#running().open(listenOf(row), [row.to])
    this.#open.delete(key)
    this.#refused.delete(key)
    ;(unopened === null ? this.#open : this.#refused).set(key, row)
    return unopened
  }

  async #close(key: Key): Promise<void> {
    const row = this.#open.get(key)
    this.#open.delete(key)
    this.#refused.delete(key)
    if (row !== undefined) await this.#running().close(listenOf(row))
  }

  #running(): Relay {
    return (this.#relay ??= this.#start((why) => {
      this.#relay = null
      this.#open.clear()
      this.#refused.clear()
      this.#onEnd(why)
    }))
  }

  *#held(): Iterable<Key> {
    yield* this.#open.keys()
    yield* this.#refused.keys()
  }
}

function refusal(key: Key, { ip, protocol, port }: LocalhostPort, { kind, reason }: Unopened): Refused {
  const at = `${ip.includes(':') ? `[${ip}]` : ip}:${port}`
  if (kind === 'other') return { key, reason: `cannot listen on ${at}/${protocol}: ${reason}`, remedy: OTHER }
  const list = protocol === 'tcp' ? 'ss -ltnp' : 'ss -lunp'
  return {
    key,
    reason: `${at}/${protocol} is taken by another process; its other addresses are served`,
    remedy: `see who has it (${list} 'sport = :${port}') and end it, or choose another nodePort`,
  }
}

const listenOf = ({ protocol, ip, port }: LocalhostPort): string =>
  `${protocol}:${ip.includes(':') ? `[${ip}]` : ip}:${port}`

const OTHER = 'leave this address out of --nodeport-addresses if the node does not have it'
