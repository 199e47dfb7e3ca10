/** What can be measured between two pods: what is sent, how it is counted, and what each of it cost. */
import { connecting, type Cost } from './generator.ts'

export type Measure = 'stream' | 'packets' | 'connect'

/** What is counted is a MiB, a packet or a connection: those that arrived. */
export interface Sample {
  /** Gbit, packets or connections a second. */
  readonly rate: number
  /** CPU of client and server for each. */
  readonly cpuUs: number
  /** Of the whole machine: what the kernel does for packets in threads of its own is only here. */
  readonly machineUs: number
  readonly softirqUs: number
  /** Packets that did not arrive, connections that failed: as a part of all. */
  readonly lost: number
  /** CPU of the agents meanwhile, as a part of one core. */
  readonly agents: number
}

export interface Ends {
  /** Source addresses. */
  readonly from: readonly string[]
  /** IP:PORT of who answers, and of who only takes. */
  readonly echo: string
  readonly sink: string
}

/** As `fairlead-carrier load` takes them. */
export function wordsOf(what: Measure, seconds: number, { from, echo, sink }: Ends): readonly string[] {
  if (what === 'connect') return connecting(seconds, echo, from)
  return [what, '--to', sink, '--from', from[0]!, '--seconds', `${seconds}`]
}

/** Numbers as `fairlead-carrier load` prints them. */
export type Told = Readonly<Record<string, number>>

/** `agentSeconds`: CPU, in as much time. */
export function sampleOf(what: Measure, told: Told, cost: Cost, agentSeconds: number): Sample {
  const { count, rate, lost } = READ[what](told)
  const each = (seconds: number): number => (seconds * 1e6) / count
  return {
    ...{ rate, lost, agents: agentSeconds / told['seconds']! },
    ...{ cpuUs: each(cost.client + cost.server), machineUs: each(cost.machine), softirqUs: each(cost.softirq) },
  }
}

const READ: Readonly<Record<Measure, (told: Told) => { count: number; rate: number; lost: number }>> = {
  stream: (told) => ({ count: told['bytes']! / 2 ** 20, rate: told['gbitPerSecond']!, lost: 0 }),
  packets: (told) => ({ count: told['arrived']!, rate: told['pps']!, lost: 1 - told['arrived']! / told['sent']! }),
  connect: ({ connections, cps, failedTotal }) => ({
    ...{ count: connections!, rate: cps!, lost: failedTotal! / (connections! + failedTotal!) },
  }),
}
