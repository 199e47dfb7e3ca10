/** What only one of several controllers does: it says in each Ingress where that can be reached. */
import { setTimeout as wait } from 'node:timers/promises'
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

/** Resolves once the signal has aborted and the Lease is let go. */
export async function publish(
  service: IngressService,
  words: LeaderWords,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const connection = service.source.reconnect?.() ?? null
  const given = words.publishStatusAddress
    ?.split(',')
    .map((text) => text.trim())
    .filter(Boolean)
  if (connection === null || words.trial || (given === undefined && words.publishService === undefined)) {
    if (!words.trial && connection !== null)
      log.info('no status is written: neither --publish-service nor --publish-status-address is given')
    return
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
  const following = follow(() => isLeader, tell, signal)
  await lead({
    ...{ connection, signal, namespace: words.namespace, name: words.electionId, identity: words.name },
    onChange: (leads) => {
      isLeader = leads
      log.info(leads ? 'this controller leads: it writes the status of Ingresses' : 'another controller leads', {
        lease: words.electionId,
      })
      if (leads) void tell()
      else if (!signal.aborted) service.post.drop('')
    },
    onProblem: (problem) =>
      log.warn('the Lease of the leader', {
        reason: problem,
        remedy: 'allow get, create and patch on leases in coordination.k8s.io (RBAC)',
      }),
  })
  await following
  await connection.close()
}

/** The Service is asked now and then: nothing else of it is followed that has names in it. */
async function follow(isLeader: () => boolean, tell: () => Promise<void>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await wait(LOOK_MS, undefined, { signal }).catch(() => {})
    if (!signal.aborted && isLeader()) await tell()
  }
}

const LOOK_MS = 10_000
