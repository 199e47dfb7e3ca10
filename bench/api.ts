/**
 * A real API server with a cluster in it, and rooms to follow it from:
 *
 *   this world ── kube-apiserver, etcd ── 10.126.0.1 ──veth── 10.126.0.2  one agent, whatever it does to the kernel
 *                                                             10.128.0.0/10, 10.96.0.0/12: answered by the room itself
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startApiServer, type ApiServer } from '../test/cluster/apiserver.ts'
import { inside, ip } from '../test/netns/world.ts'
import { NODE, oneSlice, podIP, service, servicesOf, slicesOf, SPECIAL, type Raw, type Size } from './cluster.ts'
import { NOT_A_POD } from './place.ts'

export interface Api {
  /** For an agent in a room. */
  readonly kubeconfig: string
  readonly caFile: string
  readonly url: string
  readonly token: string
  /** Adds services until there are as many; sizes must grow. Returns seconds. */
  write(size: Size): Promise<number>
  /** A network namespace with a way to the API server, for as long as `use` takes. One at a time. */
  room<T>(use: (namespace: string) => Promise<T>): Promise<T>
  stop(): Promise<void>
}

/** Throws when the components cannot be built or do not start. */
export async function openApi(): Promise<Api> {
  // The last flag of a name counts.
  const server = await startApiServer({ flags: ['--bind-address', '0.0.0.0', '--max-requests-inflight', '2000'] })
  const url = `https://${HERE}:${server.port}`
  const kubeconfig = join(server.folder, 'room.kubeconfig')
  await writeFile(kubeconfig, JSON.stringify(configOf(server, url)))
  await furnish(server)
  let written = 0
  let rooms = 0
  return {
    ...{ kubeconfig, url, token: server.token, caFile: server.caFile, stop: () => server.stop() },
    async write(size) {
      const begun = performance.now()
      const services = [...servicesOf(size)].slice(written)
      const slices = [...slicesOf(size)].slice(written)
      await inParallel(services, (object) => server.call('POST', `${CORE}/services`, asNew(object)))
      await inParallel(slices, (object) => server.call('POST', SLICES, asNew(object)))
      written = size.services
      return (performance.now() - begun) / 1000
    },
    async room(use) {
      const namespace = `a-${rooms++}`
      await ip(
        `netns add ${namespace}`,
        `link add api0 type veth peer name eth0 netns ${namespace}`,
        `addr add ${HERE}/30 dev api0`,
        'link set api0 up',
        ...['addr add 10.126.0.2/30 dev eth0', 'link set eth0 up', 'link set lo up'].map(
          (to) => `-n ${namespace} ${to}`,
        ),
        ...[`addr add ${NOT_A_POD}/32 dev lo`, 'route add local 10.128.0.0/10 dev lo'].map(
          (to) => `-n ${namespace} ${to}`,
        ),
        // Local: without rules an address of a service refuses at once, rather than let a knock hang.
        `-n ${namespace} route add local 10.96.0.0/12 dev lo src ${NOT_A_POD}`,
      )
      // A source port is used again after 20,000 knocks: nothing may remember it then.
      await inside(namespace, 'sysctl', '-qw', 'net.netfilter.nf_conntrack_tcp_timeout_close=1')
      try {
        return await use(namespace)
      } finally {
        await ip('link del api0', `netns del ${namespace}`)
      }
    },
  }
}

/** As the API server wants it: without what it gives itself. */
export function asNew({ metadata, status: _, ...object }: Raw): Raw {
  const { namespace, name, labels } = metadata as Raw
  return { ...object, metadata: { namespace, name, labels } }
}

/** The slice of the Service whose endpoint moves: the only one, on this node, on a port that tells where it is. */
export const followed = (port: number): Raw => asNew(oneSlice('follow', podIP(FOLLOW_AT), port))
export const FOLLOWED = '/apis/discovery.k8s.io/v1/namespaces/bench/endpointslices/follow-0'

async function furnish(server: ApiServer): Promise<void> {
  const { status, ...node } = NODE
  await server.call('POST', '/api/v1/nodes', asNew(node))
  await server.call('PATCH', '/api/v1/nodes/n1/status', { status }, 'application/merge-patch+json')
  await server.call('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'bench' } })
  await server.call('POST', `${CORE}/services`, asNew(service('follow', [SPECIAL.follow])))
  await server.call('POST', SLICES, followed(1))
}

function configOf(server: ApiServer, url: string): object {
  const cluster = { server: url, 'certificate-authority': server.caFile, 'tls-server-name': 'localhost' }
  return {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'bench' },
    clusters: [{ name: 'bench', cluster }],
    users: [{ name: 'admin', user: { token: server.token } }],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'admin' } }],
  }
}

async function inParallel<T>(items: readonly T[], body: (item: T) => Promise<unknown>): Promise<void> {
  const left = items[Symbol.iterator]()
  const worker = async (): Promise<void> => {
    for (const item of left) await body(item)
  }
  await Promise.all(Array.from({ length: WRITERS }, worker))
}

const HERE = '10.126.0.1'
const CORE = '/api/v1/namespaces/bench'
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/bench/endpointslices'
const WRITERS = 32
const FOLLOW_AT = 4_100_000
