/**
 * A whole agent, Fairlead's or kube-proxy, as its users start it: from its start until a connection gets through, from a
 * changed endpoint until a connection arrives there, and its memory. All are measured by the same client, in the same room.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { start } from '../src/kernel/exec.ts'
import { FOLLOWED, followed } from './api.ts'
import { SPECIAL } from './cluster.ts'
import { memoryOf, type Memory } from './machine.ts'
import { knock, listen } from './place.ts'

export type Who = 'Fairlead' | 'kube-proxy nftables' | 'kube-proxy iptables'

export interface Journey {
  /** From the start of the process to the first connection that gets through: a polling client's. */
  readonly firstMs: number
  /** What the agent itself says of its first sync: its kubeproxy_sync_proxy_rules_duration_seconds. NaN: nothing. */
  readonly syncMs: number
  /** Each from the API server's answer to the first connection that goes to the new endpoint. */
  readonly changesMs: readonly number[]
  /** After the changes; the native helpers of Fairlead's agent apart. */
  readonly memory: Memory
}

export interface Trip {
  readonly who: Who
  readonly changes: number
  /** Path of the file that is kube-proxy; not used for others. */
  readonly binary: string
  readonly api: { readonly kubeconfig: string; readonly caFile: string; readonly url: string; readonly token: string }
}

/** In a room (see api.ts), in whose network namespace this process is. */
export async function travel({ who, changes, binary, api }: Trip): Promise<Journey> {
  const places = await Promise.all([listen(), listen()])
  const ca = readFileSync(api.caFile, 'utf8')
  const dispatcher = new Agent({ connect: { ca, servername: 'localhost' } })
  const move = async (round: number): Promise<void> => {
    const response = await request(`${api.url}${FOLLOWED}`, {
      ...{ method: 'PUT', dispatcher, body: JSON.stringify(followed(places[round % 2]!.port)) },
      headers: { authorization: `Bearer ${api.token}`, 'content-type': 'application/json' },
    })
    const text = await response.body.text()
    if (response.statusCode !== 200) throw new Error(`PUT ${FOLLOWED}: ${response.statusCode} ${text.slice(0, 300)}`)
  }
  await move(0)

  const ending = new AbortController()
  const begun = performance.now()
  const child = start(commandOf(who, binary, api.kubeconfig), {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: ending.signal,
  })
  let tail = ''
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (chunk: Buffer) => (tail = (tail + chunk.toString()).slice(-2000)))
  child.once('error', () => {}) // aborted
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const arrive = async (round: number, maxMs: number): Promise<number> => {
    const place = places[round % 2]!
    const from = performance.now()
    for (const before = place.accepted; place.accepted === before; await wait(KNOCK_EVERY_MS)) {
      if (performance.now() - from > maxMs) throw new Error(`${who}: nobody arrives after ${maxMs} ms:\n${tail}`)
      if (child.exitCode !== null) throw new Error(`${who} ended:\n${tail}`)
      await knock(SPECIAL.follow)
    }
    return performance.now() - from
  }
  try {
    await arrive(0, FIRST_MAX_MS)
    const firstMs = performance.now() - begun
    const syncMs = await syncOf()
    const changesMs: number[] = []
    for (let round = 1; round <= changes; round++) {
      await wait(QUIET_MS)
      await move(round)
      changesMs.push(await arrive(round, CHANGE_MAX_MS))
    }
    return { firstMs, syncMs, changesMs, memory: memoryOf(child.pid!) }
  } finally {
    ending.abort()
    await closed
    for (const place of places) place.server.close()
    await dispatcher.destroy()
  }
}

function commandOf(who: Who, binary: string, kubeconfig: string): [string, ...string[]] {
  if (who === 'Fairlead') {
    const fairlead = new URL('../bin/fairlead', import.meta.url).pathname
    return [fairlead, 'agent', '--node', 'n1', '--kubeconfig', kubeconfig, '--state-dir', `/run/bench-${process.pid}`]
  }
  const file = `/run/bench-kube-proxy-${process.pid}`
  writeFileSync(
    file,
    JSON.stringify(kubeProxyConfig(who === 'kube-proxy nftables' ? 'nftables' : 'iptables', kubeconfig)),
  )
  return [binary, 'kube-proxy', '--config', file]
}

/** Its defaults, but for what cannot be written in a network namespace: the sizes of conntrack. */
const kubeProxyConfig = (mode: string, kubeconfig: string): object => ({
  ...{ apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration', mode },
  ...{ hostnameOverride: 'n1', clientConnection: { kubeconfig }, metricsBindAddress: METRICS },
  ...{ detectLocalMode: 'ClusterCIDR', clusterCIDR: '10.244.0.0/16' },
  conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
})

/** Milliseconds of all syncs until now; asked when the first has just been seen to be there. */
async function syncOf(): Promise<number> {
  for (const end = performance.now() + METRICS_MAX_MS; performance.now() < end; await wait(20)) {
    const response = await request(`http://${METRICS}/metrics`).catch(() => null)
    const seconds = syncSeconds((await response?.body.text()) ?? '')
    if (seconds !== null) return seconds * 1000
  }
  return NaN
}

/** Of Prometheus' text; null when nothing was synced yet. Other releases have no label for the family of addresses. */
export function syncSeconds(text: string): number | null {
  const value = (part: 'sum' | 'count'): number =>
    Number(new RegExp(`^${SYNC}_${part}(?:\\{ip_family="IPv4"\\})? (\\S+)$`, 'm').exec(text)?.[1] ?? 0)
  return value('count') > 0 ? value('sum') : null
}

const SYNC = 'kubeproxy_sync_proxy_rules_duration_seconds'
const METRICS = '127.0.0.1:10249'
const METRICS_MAX_MS = 5_000
const KNOCK_EVERY_MS = 1
/** kube-proxy syncs once a second at most by default: nobody is made to wait for that. */
const QUIET_MS = 1_500
const FIRST_MAX_MS = 200_000
const CHANGE_MAX_MS = 120_000
