/** What is measured in processes of their own: see task.ts. Results are plain data, times in milliseconds. */
import type { Journey, Trip } from './agents.ts'
import type { Cluster, Joined } from './join.ts'
import { exec, describe } from '../src/kernel/exec.ts'
import { crowdSlice, oneSlice, podIP, service, sliceOf, SPECIAL, type Size } from './cluster.ts'
import { childCpu, type Cpu } from './machine.ts'
import { changeOf, COMMANDS, textOf, type Peer } from './peers.ts'
import { Pipeline, type FromNothing, type Mode } from './pipeline.ts'
import { knock, listen } from './place.ts'

export interface PeerLoad {
  readonly applyMs: number
  readonly cpu: Cpu
}

export const TASKS = {
  /** Our rules, from nothing; they stay. */
  async program({ size, mode }: { size: Size; mode?: Mode }): Promise<FromNothing & { readonly peakMB: number }> {
    const pipeline = new Pipeline(mode)
    const result = await pipeline.program(size)
    await pipeline.close()
    return { ...result, peakMB: process.resourceUsage().maxRSS / 1000 }
  },

  /** A peer's rules, from nothing; they stay. */
  async peer({ peer, size }: { peer: Peer; size: Size }): Promise<PeerLoad> {
    return feed(peer, [...textOf(peer, size)].join(''))
  },

  /** One endpoint after the other is replaced: from the event to the commit. */
  async change({ size, of, changes, mode }: Changes): Promise<number[]> {
    const pipeline = new Pipeline(mode)
    await pipeline.program(size)
    const times: number[] = []
    const warmUp = Math.min(WARM_UP, changes)
    for (let round = 0; round < changes + warmUp; round++) {
      const address = `10.120.${round >> 8}.${round & 255}`
      const at = (round * 7919) % size.services
      const slice = of === 'crowd' ? crowdSlice(round % 50, address) : sliceOf(size, at, 4, address)
      const begun = performance.now()
      const done = pipeline.next()
      pipeline.inlets.slices.put(slice)
      await done
      if (round >= warmUp) times.push(performance.now() - begun)
      await pause()
    }
    await pipeline.close()
    return times
  },

  /** The same with a peer's layout and its own tool, which has the text ready: the least that it could take. */
  async peerChange({ peer, size, changes }: { peer: Peer; size: Size; changes: number }): Promise<number[]> {
    await feed(peer, [...textOf(peer, size)].join(''))
    const times: number[] = []
    const noflush = peer === 'kube-proxy-nft' ? [] : ['--noflush']
    for (let round = 0; round < changes; round++) {
      const text = changeOf(peer, size, (round * 7919) % size.services, round)
      times.push((await feed(peer, text, noflush)).applyMs)
    }
    return times
  },

  /** A Service's only endpoint moves: from the event to the first connection that reaches the new place. */
  async follow({ size, changes }: { size: Size; changes: number }): Promise<number[]> {
    const places = await Promise.all([listen(), listen()])
    const pipeline = new Pipeline()
    const slice = (round: number): object => oneSlice('follow', podIP(FOLLOW_AT), places[round % 2]!.port)
    await pipeline.program(size, { services: [service('follow', [SPECIAL.follow])], slices: [slice(0)] })
    const times: number[] = []
    for (let round = 1; round <= changes; round++) {
      const before = places[round % 2]!.accepted
      const begun = performance.now()
      pipeline.inlets.slices.put(slice(round))
      while (places[round % 2]!.accepted === before && performance.now() - begun < FOLLOW_MAX_MS)
        await knock(SPECIAL.follow)
      times.push(performance.now() - begun)
    }
    await pipeline.close()
    for (const place of places) place.server.close()
    return times
  },

  /** A whole agent in a room of the API server. Loaded only here: others are measured with what they need. */
  async agent(trip: Trip): Promise<Journey> {
    return (await import('./agents.ts')).travel(trip)
  },

  async joinByAgent(cluster: Cluster): Promise<Joined> {
    return (await import('./join.ts')).joinByAgent(cluster)
  },

  async joinByHand(cluster: Cluster): Promise<Joined> {
    return (await import('./join.ts')).joinByHand(cluster)
  },
}

interface Changes {
  readonly size: Size
  readonly of: 'any' | 'crowd'
  readonly changes: number
  readonly mode?: Mode
}

async function feed(peer: Peer, stdin: string, more: readonly string[] = []): Promise<PeerLoad> {
  const before = childCpu()
  const begun = performance.now()
  const result = await exec([...COMMANDS[peer], ...more] as [string, ...string[]], { stdin, timeoutMs: PEER_MAX_MS })
  const applyMs = performance.now() - begun
  if (result.kind !== 'done') throw new Error(describe(result))
  const after = childCpu()
  return {
    applyMs,
    cpu: { userMs: after.userMs - before.userMs, systemMs: after.systemMs - before.systemMs },
  }
}

/** Lets what the last change left be collected and sent, as between the events of a real cluster. */
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2))

const WARM_UP = 50
const PEER_MAX_MS = 120_000
const FOLLOW_AT = 4_100_000
const FOLLOW_MAX_MS = 5_000
