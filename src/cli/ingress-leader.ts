/** What only one of several controllers does: who holds the Lease. */
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import type { Connection } from '../cluster/source/kube.ts'
import { askAddresses } from '../ingress/status/addresses.ts'
import { lead } from '../ingress/status/leader.ts'
import { StatusWriter } from '../ingress/status/writer.ts'
import type { Log } from '../status/log.ts'
import type { IngressService } from './ingress-service.ts'

export interface LeaderWords {
  readonly publishService?: string
  readonly publishStatusAddress?: string
  readonly trial: boolean
  readonly namespace: string
  readonly electionId: string
  readonly name: string
}

/** Something that the leader does. */
export interface Led {
  /** For people: `it writes the status of Ingresses`. */
  readonly does: string
  /** Told at each change; resolves once it is so: who leads no more has nothing under way. */
  lead(isLeader: boolean): Promise<void>
}

export interface LeaderParts {
  readonly connection: Connection
  readonly words: LeaderWords
  readonly log: Log
  readonly signal: AbortSignal
}

/** Resolves once the signal has aborted, all is ended and the Lease is let go. */
export async function takeTurns(all: readonly Led[], { connection, words, log, signal }: LeaderParts): Promise<void> {
  const leaving = new AbortController()
  const leading = lead({
    ...{ connection, namespace: words.namespace, name: words.electionId, identity: words.name },
    signal: leaving.signal,
    onChange: (leads) => {
      const what = leads
        ? `this controller leads: ${all.map(({ does }) => does).join(', ')}`
        : 'another controller leads'
      log.info(what, { lease: words.electionId })
      for (const each of all) void each.lead(leads && !signal.aborted)
    },
    onProblem: (reason, remedy) => log.warn('the Lease of the leader', { reason, remedy }),
  })
  if (!signal.aborted) await once(signal, 'abort')
  // The next one shall find nothing under way; what hangs, it copes with.
  await Promise.race([Promise.all(all.map((each) => each.lead(false))), wait(END_MS, undefined, { ref: false })])
  leaving.abort()
  await leading
}

/** Says in each Ingress where that can be reached; null: it is not to, or cannot. */
export function statusDuty(service: IngressService, { connection, words, log, signal }: LeaderParts): Led | null {
  const given = words.publishStatusAddress
    ?.split(',')
    .map((text) => text.trim())
    .filter(Boolean)
  if (given === undefined && words.publishService === undefined) {
    log.info('no status is written: neither --publish-service nor --publish-status-address is given')
    return null
  }
  service.runner.attach(service.duties, new StatusWriter(connection))
  let isLeader = false
  const tell = async (): Promise<void> => {
    const found = given ?? (await askAddresses(connection, words.publishService!, signal))
    if (signal.aborted) return
    if ('problem' in found)
      log.warn('cannot tell where the ingress is', { service: words.publishService, reason: found.problem })
    else if (isLeader) service.post.put('', [...found].sort())
  }
  // The Service is asked now and then: nothing else of it is followed that has names in it.
  const timer = setInterval(() => void (isLeader && tell()), LOOK_MS)
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
  return {
    does: 'it writes the status of Ingresses',
    async lead(leads) {
      isLeader = leads
      if (leads) await tell()
      else if (!signal.aborted) service.post.drop('')
    },
  }
}

const LOOK_MS = 10_000
const END_MS = 5_000
