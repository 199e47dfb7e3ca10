/**
 * DNS servers that are compared, each a process (ours: two) on SERVER_CORE and on a port of its own, with the names of the
 * same cluster. Ours and CoreDNS follow an API server, the others have the names from their configuration.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import type { ChildProcess } from 'node:child_process'
import { carrier } from '../src/kernel/carrier.ts'
import { ask } from '../test/contract/dns-client.ts'
import { clusterIP, podIP, type Size } from './cluster.ts'
import type { Unpacked } from './debian.ts'
import { CLIENT_CORE, pinned, pinnedServer } from './pinned.ts'

export type Who = 'Fairlead' | 'unbound' | 'knot' | 'CoreDNS' | 'canned answer'

export interface Resolver {
  readonly who: Who
  readonly port: number
  /** Of which all CPU and memory is that of the server. */
  readonly process: ChildProcess
}

export interface Programs {
  /** unbound and knot. */
  readonly debian: Unpacked | null
  readonly coreDns: string | null
}

export interface Surroundings {
  readonly size: Size
  readonly programs: Programs
  /** Of the API server, over TCP. */
  readonly apiPort: number
  /** Of the server that names outside are forwarded to. */
  readonly upstreamPort: number
  readonly signal: AbortSignal
}

/** Ours without its controller. */
export function startFairlead({ signal }: Pick<Surroundings, 'signal'>): Resolver {
  const folder = folderOf('fairlead')
  const state = `${folder}/state-${serial++}`
  const words = ['dns', '--socket', socketOf(folder), '--state', state, '--threads', '1']
  return { who: 'Fairlead', port: PORTS['Fairlead'], process: pinnedServer([carrier, ...words], signal, folder) }
}

/** `fairlead dns`, on the other core: it follows the API server for the carrier that was started last. */
export function startController({ apiPort, upstreamPort, signal }: Surroundings): ChildProcess {
  const folder = folderOf('fairlead')
  const corefile = `${folder}/Corefile`
  writeFileSync(corefile, corefileOf(PORTS['Fairlead'], 20, '', upstreamPort))
  const words = [
    ...['dns', '--socket', socketOf(folder), '--corefile', corefile, '--log', 'warn'],
    ...['--api-server', `http://127.0.0.1:${apiPort}`],
  ]
  const fairlead = new URL('../bin/fairlead', import.meta.url).pathname
  return pinned(CLIENT_CORE, [fairlead, ...words], { stdout: 'ignore', signal })
}

export function startCoreDns({ programs, apiPort, upstreamPort, signal }: Surroundings): Resolver {
  const folder = folderOf('coredns')
  const port = PORTS['CoreDNS']
  writeFileSync(`${folder}/Corefile`, corefileOf(port, 40, `endpoint http://127.0.0.1:${apiPort}`, upstreamPort))
  const child = pinnedServer([programs.coreDns!, '-conf', `${folder}/Corefile`], signal, folder, {
    ...{ ...process.env, GOMAXPROCS: '1' },
  })
  return { who: 'CoreDNS', port, process: child }
}

export function startUnbound({ size, programs, upstreamPort, signal }: Surroundings): Resolver {
  const folder = folderOf('unbound')
  const port = PORTS['unbound']
  const data = recordsOf(size, 'cluster.local.').map((record) => `  local-data: '${record}'`)
  writeFileSync(
    `${folder}/unbound.conf`,
    `server:
  interface: 127.0.0.1@${port}
  num-threads: 1
  do-daemonize: no
  chroot: ""
  username: ""
  directory: "${folder}"
  pidfile: ""
  use-syslog: no
  module-config: "iterator"
  do-not-query-localhost: no
  incoming-num-tcp: 64
  msg-cache-size: 64m
  rrset-cache-size: 64m
  local-zone: "cluster.local." static
${data.join('\n')}
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@${upstreamPort}
remote-control:
  control-enable: no
`,
  )
  const { path, env } = programs.debian!
  return {
    ...{ who: 'unbound', port },
    process: pinnedServer([path('unbound'), '-d', '-c', `${folder}/unbound.conf`], signal, folder, env),
  }
}

/** For the cluster's names; with another zone, who is asked for names outside. */
export function startKnot(
  of: Pick<Surroundings, 'size' | 'programs' | 'signal'>,
  zone: 'cluster.local.' | 'example.',
): Resolver {
  const folder = folderOf(`knot-${zone}`)
  const port = zone === 'example.' ? UPSTREAM_PORT : PORTS['knot']
  const records = zone === 'example.' ? outsideRecords() : recordsOf(of.size, zone)
  writeFileSync(`${folder}/zone`, `$ORIGIN ${zone}\n${records.join('\n')}\n`)
  writeFileSync(
    `${folder}/knot.conf`,
    `server:
    rundir: "${folder}"
    listen: 127.0.0.1@${port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: error
database:
    storage: "${folder}"
zone:
  - domain: ${zone}
    file: "${folder}/zone"
    zonefile-sync: -1
    journal-content: none
`,
  )
  const { path, env } = of.programs.debian!
  return {
    who: 'knot',
    port,
    process: pinnedServer([path('knotd'), '-c', `${folder}/knot.conf`], of.signal, folder, env),
  }
}

export function startCanned({ signal }: Pick<Surroundings, 'signal'>): Resolver {
  const port = PORTS['canned answer']
  const words = ['load', 'canned', '--listen', `udp:127.0.0.1:${port}`]
  return { who: 'canned answer', port, process: pinnedServer([carrier, ...words], signal, folderOf('canned')) }
}

/** Resolves when it answers `name` with an address. */
export async function answers({ who, port, process: child }: Resolver, name: string): Promise<void> {
  const end = performance.now() + READY_MAX_MS
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${who} ended with ${child.exitCode}`)
    const answer = await ask(port, name, 1_000).catch(() => null)
    if (answer !== null && answer.addresses.length > 0) return
    if (performance.now() > end) throw new Error(`${who} does not answer ${name}: ${JSON.stringify(answer)}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

export const nameOf = (i: number): string => `s${i}.bench.svc.cluster.local.`
/** Of names that are not the cluster's. */
export const outsideName = (i: number): string => `w${i}.example.`
export const OUTSIDE_NAMES = 1_000

/** What the specification says of a cluster, as a zone: services, their ports, their endpoints. */
function recordsOf({ services, endpoints }: Size, zone: string): string[] {
  const records = [
    `${zone} 30 IN SOA ns.dns.${zone} hostmaster.${zone} 1 7200 1800 86400 5`,
    `${zone} 30 IN NS ns.dns.${zone}`,
  ]
  records.push(`ns.dns.${zone} 30 IN A 10.96.0.10`)
  for (let i = 0; i < services; i++) {
    const name = nameOf(i)
    records.push(`${name} 30 IN A ${clusterIP(i)}`, `_http._tcp.${name} 30 IN SRV 0 100 80 ${name}`)
    for (let j = 0; j < endpoints; j++) {
      const address = podIP(i * endpoints + j)
      records.push(`${address.replaceAll('.', '-')}.${name} 30 IN A ${address}`)
    }
  }
  return records
}

function outsideRecords(): string[] {
  const records = [
    'example. 3600 IN SOA ns.example. hostmaster.example. 1 7200 1800 86400 3600',
    'example. 3600 IN NS ns.example.',
  ]
  records.push('ns.example. 3600 IN A 192.0.2.1')
  for (let i = 0; i < OUTSIDE_NAMES; i++) records.push(`${outsideName(i)} 3600 IN A 192.0.2.${i % 250}`)
  return records
}

/** kubeadm's, on ports of its own. */
const corefileOf = (port: number, offset: number, endpoint: string, upstreamPort: number): string => `.:${port} {
    bind 127.0.0.1
    errors
    health 127.0.0.1:${port + offset + 1}
    ready 127.0.0.1:${port + offset + 2}
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       ${endpoint}
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus 127.0.0.1:${port + offset + 3}
    forward . 127.0.0.1:${upstreamPort} {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
`

function folderOf(name: string): string {
  const folder = `/run/bench-dns-${name}`
  mkdirSync(folder, { recursive: true })
  return folder
}

export const socketOf = (folder: string): string => `${folder}/dns.sock`
const PORTS: Readonly<Record<Who, number>> = {
  ...{ Fairlead: 5301, unbound: 5302, knot: 5303, CoreDNS: 5304, 'canned answer': 5305 },
}
export const UPSTREAM_PORT = 5306
/** Of Debian. */
export const PACKAGES = ['unbound', 'knot'] as const
let serial = 0
const READY_MAX_MS = 120_000
