/**
 * A real kube-apiserver on a real etcd, on loopback, in a temporary folder: ready in about 3 seconds, gone with the test.
 *
 *     test ──https──> kube-apiserver ──http──> etcd          both children of this process
 */
import { rmSync } from 'node:fs'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Agent, request } from 'undici'
import { describe, exec } from '../../src/kernel/exec.ts'
import { build } from './build.ts'
import { freePorts, startDaemon, until, type Daemon } from './process.ts'

export interface ApiServer {
  /** https://127.0.0.1:PORT, the same after a restart. */
  readonly url: string
  readonly port: number
  /** Of user `admin`, group system:masters. */
  readonly token: string
  /** Of user `nobody`, who may do nothing until a test binds a role to it. */
  readonly weakToken: string
  readonly caFile: string
  readonly clientCertFile: string
  readonly clientKeyFile: string
  /** Path of a kubeconfig with the admin token. */
  readonly kubeconfig: string
  /** Of everything above; tests may put files there. */
  readonly folder: string
  /** Process of kube-apiserver. */
  pid(): number
  /** One request as admin; throws when the status is not 2xx. */
  call(method: string, path: string, body?: object, contentType?: string): Promise<any>
  /** Kills kube-apiserver, runs `between` while it is down, starts it again with the same etcd and port. */
  restart(between?: () => Promise<void>): Promise<void>
  stop(): Promise<void>
  readonly etcd: {
    /** Forgets all history: who resumes from before hears 410. */
    compact(): Promise<void>
  }
}

/** `flags`: more for kube-apiserver. Throws when it cannot be built or does not get ready. */
export async function startApiServer(options: {
  signal?: AbortSignal
  flags?: readonly string[]
  say?: (line: string) => void
}): Promise<ApiServer> {
  const built = await build('components', options.say)
  if (built.kind !== 'built') throw new Error(built.hint)
  const folder = await mkdtemp(join(tmpdir(), 'kube-apiserver-'))
  const daemons: Daemon[] = []
  const clean = (): void => rmSync(folder, { recursive: true, force: true })
  process.once('exit', clean) // when the test crashes
  const stop = async (): Promise<void> => {
    for (const daemon of daemons.splice(0).reverse()) await daemon.stop()
    await admin.destroy()
    process.off('exit', clean)
    clean()
  }
  let admin = new Agent()
  try {
    await writeFiles(built.binary, folder)
    const [etcdPort, peerPort, port] = (await freePorts(3)) as [number, number, number]
    daemons.push(
      startDaemon([built.binary, 'etcd', ...etcdFlags(folder, etcdPort, peerPort)], join(folder, 'etcd.log')),
    )
    admin = new Agent({ connect: { ca: await readFile(join(folder, 'ca.crt')) } })
    const call = caller(`https://127.0.0.1:${port}`, admin)
    const launch = async (): Promise<void> => {
      const flags = [...apiServerFlags(folder, etcdPort, port), ...(options.flags ?? [])]
      const daemon = startDaemon([built.binary, 'kube-apiserver', ...flags], join(folder, 'kube-apiserver.log'))
      daemons[1] = daemon
      await Promise.race([ready(call, options.signal), daemon.failed])
    }
    await launch()
    await writeKubeconfig(folder, port)
    options.signal?.addEventListener('abort', () => void stop(), { once: true })
    return {
      ...{ url: `https://127.0.0.1:${port}`, port, token: ADMIN, weakToken: NOBODY, folder, call, stop },
      ...{ caFile: join(folder, 'ca.crt'), kubeconfig: join(folder, 'kubeconfig') },
      ...{ clientCertFile: join(folder, 'client.crt'), clientKeyFile: join(folder, 'client.key') },
      pid: () => daemons[1]!.pid,
      restart: async (between) => {
        await daemons[1]!.stop()
        await between?.()
        await launch()
      },
      etcd: { compact: () => compact(etcdPort) },
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function ready(call: ApiServer['call'], signal?: AbortSignal): Promise<void> {
  const options = { deadlineMs: READY_DEADLINE_MS, ...(signal && { signal }) }
  await until('kube-apiserver is ready', async () => (await call('GET', '/readyz')) === 'ok', options)
  // /readyz says yes before the hook that makes them has run; nothing can be created in them until they are there.
  for (const name of ['default', 'kube-system']) {
    const path = `/api/v1/namespaces/${name}`
    await until(`namespace ${name} exists`, async () => (await call('GET', path)).kind === 'Namespace', options)
  }
  // Nor does it wait for who gives addresses, of either family: until then "range is full".
  const spec = { ipFamilyPolicy: 'RequireDualStack', ports: [{ port: 80 }] }
  const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'any' }, spec }
  const create = async () =>
    (await call('POST', '/api/v1/namespaces/default/services?dryRun=All', service)).kind === 'Service'
  await until('Services get addresses', create, options)
}

function caller(url: string, dispatcher: Agent): ApiServer['call'] {
  return async (method, path, body, contentType = 'application/json') => {
    const response = await request(`${url}${path}`, {
      method: method as 'GET',
      dispatcher,
      headers: { authorization: `Bearer ${ADMIN}`, ...(body && { 'content-type': contentType }) },
      ...(body && { body: JSON.stringify(body) }),
    })
    const text = await response.body.text()
    if (response.statusCode >= 300) throw new Error(`${method} ${path}: ${response.statusCode} ${text.slice(0, 500)}`)
    return response.headers['content-type']?.includes('json') ? JSON.parse(text) : text
  }
}

async function writeFiles(binary: string, folder: string): Promise<void> {
  const certs = await exec([binary, 'certs', folder])
  if (certs.kind !== 'done') throw new Error(describe(certs))
  await writeFile(join(folder, 'tokens'), `${ADMIN},admin,1,"system:masters"\n${NOBODY},nobody,2\n`)
}

async function writeKubeconfig(folder: string, port: number): Promise<void> {
  const config = {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'test' },
    clusters: [
      {
        name: 'test',
        cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority': join(folder, 'ca.crt') },
      },
    ],
    users: [{ name: 'admin', user: { token: ADMIN } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
  }
  await writeFile(join(folder, 'kubeconfig'), JSON.stringify(config, null, 2))
}

/** etcd speaks JSON beside gRPC: https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/ */
async function compact(port: number): Promise<void> {
  const post = async (path: string, body: object): Promise<any> =>
    (await request(`http://127.0.0.1:${port}${path}`, { method: 'POST', body: JSON.stringify(body) })).body.json()
  const { header } = await post('/v3/kv/range', { key: Buffer.from('/').toString('base64') })
  const answer = await post('/v3/kv/compaction', { revision: header.revision, physical: true })
  if (answer.header === undefined) throw new Error(`etcd: ${JSON.stringify(answer)}`)
}

const etcdFlags = (folder: string, client: number, peer: number): string[] => [
  ...['--data-dir', join(folder, 'etcd'), '--log-level', 'error', '--unsafe-no-fsync'],
  ...['--listen-client-urls', `http://127.0.0.1:${client}`, '--advertise-client-urls', `http://127.0.0.1:${client}`],
  ...['--listen-peer-urls', `http://127.0.0.1:${peer}`, '--initial-advertise-peer-urls', `http://127.0.0.1:${peer}`],
  ...['--initial-cluster', `default=http://127.0.0.1:${peer}`],
]

const apiServerFlags = (folder: string, etcd: number, port: number): string[] => [
  ...['--etcd-servers', `http://127.0.0.1:${etcd}`],
  // A documentation address (RFC 5737): loopback is refused here, and nobody is told it, see the reconciler.
  ...['--bind-address', '127.0.0.1', '--secure-port', `${port}`, '--advertise-address', '192.0.2.1'],
  ...['--endpoint-reconciler-type', 'none'],
  ...['--service-cluster-ip-range', '10.96.0.0/12,fd00:10:96::/108', '--allow-privileged'],
  ...['--tls-cert-file', join(folder, 'server.crt'), '--tls-private-key-file', join(folder, 'server.key')],
  ...['--client-ca-file', join(folder, 'ca.crt'), '--cert-dir', folder],
  ...['--token-auth-file', join(folder, 'tokens'), '--authorization-mode', 'Node,RBAC'],
  ...[
    '--service-account-key-file',
    join(folder, 'sa.crt'),
    '--service-account-signing-key-file',
    join(folder, 'sa.key'),
  ],
  ...['--service-account-issuer', 'https://kubernetes.default.svc'],
  // Nobody makes service accounts here, and tests make pods.
  ...['--disable-admission-plugins', 'ServiceAccount'],
]

const ADMIN = 'admin-token'
const NOBODY = 'nobody-token'
const READY_DEADLINE_MS = 180_000
