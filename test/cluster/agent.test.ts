/** The agent as it ships against a real API server, in a network namespace of the test's own. */
import { mkdtempSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import t from 'tap'
import { enterWorld } from '../netns/world.ts'
await enterWorld()

import { exec, start } from '../../src/kernel/exec.ts'
import { endpoint, slice } from '../contract/service-objects.ts'
import { makeAccount } from './account.ts'
import { startApiServer, type ApiServer } from './apiserver.ts'
import { ended, until } from '../netns/waiting.ts'
import { whyNotBuilt } from './build.ts'

const folder = mkdtempSync(join(tmpdir(), 'fairlead-agent-'))
let server: ApiServer
let agent: ChildProcess | null = null
t.setTimeout(600_000)
t.jobs = 1
const skip = (await whyNotBuilt()) ?? false
t.teardown(async () => {
  agent?.kill('SIGKILL')
  await server?.stop()
  await rm(folder, { recursive: true, force: true })
})

t.test('a real API server, with a node and a Service of its own', { skip }, async (t) => {
  server = await startApiServer({ say: (line) => t.comment(line) })
  await server.call('POST', '/api/v1/nodes', {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n1' },
    spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24'] },
  })
  const status = { addresses: [{ type: 'InternalIP', address: '172.30.0.11' }] }
  await server.call('PATCH', '/api/v1/nodes/n1/status', { status }, 'application/merge-patch+json')
  await server.call('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } })
})

let address = ''

t.test('what the API server accepts is in the kernel, and follows', { skip }, async () => {
  agent = startAgent()
  const created = await server.call('POST', '/api/v1/namespaces/shop/services', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { type: 'NodePort', ports: [{ port: 80, targetPort: 8080 }] },
  })
  address = created.spec.clusterIP
  await server.call('POST', SLICES, slice('web-1', 'web', [endpoint('10.244.1.10')]))
  await until('the endpoint is programmed', () => leadsTo('10.244.1.10'), PATIENCE_MS)
  await server.call('PUT', `${SLICES}/web-1`, slice('web-1', 'web', [endpoint('10.244.1.11')]))
  await until(
    'the endpoint was exchanged',
    async () => (await leadsTo('10.244.1.11')) && !(await leadsTo('10.244.1.10')),
    PATIENCE_MS,
  )
  const nodePort = new RegExp(`172.30.0.11 . tcp . ${created.spec.ports[0].nodePort} : goto`)
  await until('the node port is there', async () => nodePort.test(await rules()), PATIENCE_MS)
  // The API server makes that object when it likes.
  const range = /ip daddr 10\.\d+\.0\.0\/\d+ drop/
  await until('the service range that its ServiceCIDR object says', async () => range.test(await rules()), PATIENCE_MS)
})

t.test('the API server restarts: nothing changes, then it is followed again', { skip }, async (t) => {
  await server.restart()
  t.ok(await leadsTo('10.244.1.11'), 'still programmed')
  await server.call('PUT', `${SLICES}/web-1`, slice('web-1', 'web', [endpoint('10.244.1.12')]))
  await until('followed after the restart', () => leadsTo('10.244.1.12'), PATIENCE_MS)
})

t.test('the agent starts while no API server answers: it acts on its copy', { skip }, async (t) => {
  agent!.kill('SIGTERM') // the copy is written when it ends, too
  await ended(agent!)
  const cleaned = await exec([process.execPath, MAIN, 'agent', '--cleanup'])
  t.equal(cleaned.kind, 'done')
  await server.restart(async () => {
    agent = startAgent()
    await until('programmed from the copy', () => leadsTo('10.244.1.12'), PATIENCE_MS)
  })
  await server.call('PUT', `${SLICES}/web-1`, slice('web-1', 'web', [endpoint('10.244.1.13')]))
  await until('followed once it answers', () => leadsTo('10.244.1.13'), PATIENCE_MS)
})

t.test('with the account of manifests/rbac.yaml and no other', { skip }, async (t) => {
  agent!.kill('SIGTERM')
  await ended(agent!)
  const kubeconfig = await makeAccount(server, 'rbac.yaml', join(folder, 'agent.kubeconfig'))
  agent = startAgent(kubeconfig)
  await server.call('PUT', `${SLICES}/web-1`, slice('web-1', 'web', [endpoint('10.244.1.14')]))
  await until('it may list and watch', () => leadsTo('10.244.1.14'), PATIENCE_MS)
  const { metadata } = await server.call('POST', SLICES, slice('lost', 'nobody', [endpoint('10.244.1.15')]))
  const said = async () => {
    const { items } = await server.call('GET', '/api/v1/namespaces/shop/events')
    return items.find(({ involvedObject }: { involvedObject: { uid: string } }) => involvedObject.uid === metadata.uid)
  }
  await until('it may say what is wrong, and of which object', async () => (await said()) !== undefined, PATIENCE_MS)
  t.match(await said(), { type: 'Warning', involvedObject: { kind: 'EndpointSlice', name: 'lost' } })
})

t.test('an overlay tells its Node what peers and the scheduler look for, with that account', { skip }, async () => {
  agent!.kill('SIGTERM')
  await ended(agent!)
  await exec(['ip', '-batch', '-'], {
    stdin: 'link add eth0 type veth peer name eth1\naddress add 172.30.0.11/24 dev eth0\nlink set eth0 up\n',
  })
  const path = join(folder, 'subnet.env')
  agent = startAgent(join(folder, 'agent.kubeconfig'), '--overlay', 'vxlan', '--subnet-env', path)
  const node = () => server.call('GET', '/api/v1/nodes/n1')
  const condition = async () =>
    (await node()).status.conditions?.find(({ type }: { type: string }) => type === 'NetworkUnavailable')
  await until('pods may come', async () => (await condition())?.status === 'False', PATIENCE_MS)
  const annotations = async (): Promise<Record<string, string>> => (await node()).metadata.annotations ?? {}
  const linkAddress = async (): Promise<string> => {
    const link = await exec(['ip', '-o', 'link', 'show', 'flannel.1'])
    return (link.kind === 'done' && / link\/ether (\S+)/.exec(link.stdout)?.[1]) || 'no link'
  }
  await until(
    'peers are told where it is, with the address of its link',
    async () => {
      const { [PUBLIC_IP]: ip, 'flannel.alpha.coreos.com/backend-data': data = '{}' } = await annotations()
      return ip === '172.30.0.11' && JSON.parse(data).VtepMAC === (await linkAddress())
    },
    PATIENCE_MS,
  )
  const file = (): Promise<string> => readFile(path, 'utf8').catch(() => '')
  await until('subnet.env', async () => /FLANNEL_SUBNET=10\.244\.1\.1\/24/.test(await file()), PATIENCE_MS)
  const lost = { metadata: { annotations: { [PUBLIC_IP]: null } } }
  await server.call('PATCH', '/api/v1/nodes/n1', lost, 'application/merge-patch+json')
  await until(
    'what somebody took away is there again',
    async () => (await annotations())[PUBLIC_IP] === '172.30.0.11',
    PATIENCE_MS,
  )
})

const PATIENCE_MS = 60_000
const PUBLIC_IP = 'flannel.alpha.coreos.com/public-ip'
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices'
const MAIN = join(import.meta.dirname, '../../src/main.ts')

function startAgent(kubeconfig = server.kubeconfig, ...more: readonly string[]): ChildProcess {
  const options = ['--kubeconfig', kubeconfig, '--node', 'n1', '--state-dir', folder, '--log', 'warn', ...more]
  return start([process.execPath, MAIN, 'agent', ...options], { stdio: ['ignore', 'inherit', 'inherit'] })
}

async function rules(): Promise<string> {
  const result = await exec(['nft', 'list', 'table', 'inet', 'fairlead_service'])
  return result.kind === 'done' ? result.stdout : ''
}

const leadsTo = async (endpoint: string): Promise<boolean> =>
  (await rules()).includes(`${address} . 80 . 0 : ${endpoint} . 8080`)
