/** DNS as it ships, controller and carrier, against a real API server, in a network namespace of the test's own. */
import type { ChildProcess } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { enterWorld } from '../netns/world.ts'
await enterWorld()

import { readManifests } from '../../src/cluster/manifest.ts'
import { start } from '../../src/kernel/exec.ts'
import { carrier } from '../../src/kernel/carrier.ts'
import { ask } from '../contract/dns-client.ts'
import { endpoint, slice } from '../contract/service-objects.ts'
import { ended, until } from '../netns/waiting.ts'
import { makeAccount } from './account.ts'
import { startApiServer, type ApiServer } from './apiserver.ts'
import { whyNotBuilt } from './build.ts'

const folder = mkdtempSync(join(tmpdir(), 'fairlead-dns-'))
const socket = join(folder, 'dns.sock')
const running = new Set<ChildProcess>()
let server: ApiServer
let kubeconfig = ''
t.setTimeout(600_000)
t.jobs = 1
const skip = (await whyNotBuilt()) ?? false
t.teardown(async () => {
  for (const child of running) child.kill('SIGKILL')
  await server?.stop()
  await rm(folder, { recursive: true, force: true })
})

t.test(
  'what the API server has is answered, and followed, with the account of manifests/rbac-dns.yaml',
  { skip },
  async (t) => {
    server = await startApiServer({ say: (line) => t.comment(line) })
    await server.call('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } })
    const web = await service('web', {})
    await service('db', { clusterIP: 'None' })
    await server.call('POST', SLICES, slice('db-1', 'db', [endpoint('10.244.1.10')]))
    writeFileSync(join(folder, 'Corefile'), corefile('insecure'))
    kubeconfig = await makeAccount(server, 'rbac-dns.yaml', join(folder, 'dns.kubeconfig'))
    startCarrier()
    startController()
    await until(
      'the Service is answered',
      async () => (await addresses('web.shop.svc.cluster.local')) === web.spec.clusterIP,
    )
    t.equal(await addresses('db.shop.svc.cluster.local'), '10.244.1.10')
    t.equal((await ask(PORT, 'nobody.shop.svc.cluster.local')).rcode, NXDOMAIN)
    await server.call('PUT', `${SLICES}/db-1`, slice('db-1', 'db', [endpoint('10.244.1.11'), endpoint('10.244.1.12')]))
    await until(
      'endpoints are followed',
      async () => (await addresses('db.shop.svc.cluster.local')) === '10.244.1.11 10.244.1.12',
    )
  },
)

t.test('what manifests/node-local-dns.yaml describes is taken, and means what it says', { skip }, async (t) => {
  const { objects } = await readManifests([join(import.meta.dirname, '../../manifests/node-local-dns.yaml')])
  t.same(
    objects.map(({ object }) => object['kind']),
    ['ConfigMap', 'DaemonSet'],
  )
  for (const { object } of objects) {
    const kind = object['kind'] === 'ConfigMap' ? 'api/v1' : 'apis/apps/v1'
    const plural = `${(object['kind'] as string).toLowerCase()}s`
    const path = `/${kind}/namespaces/kube-system/${plural}/node-local-dns`
    // Strictly: a field that the API server does not know, or that is there twice, is an error.
    const query = '?fieldManager=test&fieldValidation=Strict'
    const made = await server.call('PATCH', `${path}${query}`, object, 'application/apply-patch+yaml')
    t.equal(made.metadata.name, 'node-local-dns')
    if (made.kind !== 'DaemonSet') continue
    t.equal(made.spec.template.spec.serviceAccountName, 'fairlead-dns', 'which rbac-dns.yaml makes')
    t.ok((await server.call('GET', '/api/v1/namespaces/kube-system/serviceaccounts/fairlead-dns')).metadata.uid)
  }
})

t.test('the controller is killed: the carrier answers on; the next one takes over', { skip }, async (t) => {
  const [controller] = [...running].slice(-1)
  controller!.kill('SIGKILL')
  await ended(controller!)
  running.delete(controller!)
  t.equal(await addresses('db.shop.svc.cluster.local'), '10.244.1.11 10.244.1.12')
  await server.call('PUT', `${SLICES}/db-1`, slice('db-1', 'db', [endpoint('10.244.1.13')]))
  startController()
  await until(
    'what happened meanwhile is known',
    async () => (await addresses('db.shop.svc.cluster.local')) === '10.244.1.13',
  )
})

t.test('another way with pods: the names are asked for anew', { skip }, async (t) => {
  t.equal(await addresses('10-244-1-9.shop.pod.cluster.local'), '10.244.1.9', 'insecure: whatever is an address')
  writeFileSync(join(folder, 'Corefile'), corefile('disabled'))
  await until(
    'there is none any more',
    async () => (await ask(PORT, '10-244-1-9.shop.pod.cluster.local')).rcode === NXDOMAIN,
  )
  t.equal(await addresses('db.shop.svc.cluster.local'), '10.244.1.13')
})

t.test('another kubernetes while it is asked: no answer is wrong', { skip }, async (t) => {
  // A name that each Corefile here answers: what there is, no matter which of them is in force.
  const wrong: string[] = []
  const ending = new AbortController()
  let asked = 0
  const asking = Array.from({ length: 4 }, async () => {
    for (; !ending.signal.aborted; asked++) {
      const { rcode, addresses } = await ask(PORT, 'db.shop.svc.cluster.local')
      if (rcode !== 0 || addresses.join() !== '10.244.1.13') wrong.push(`${rcode} ${addresses.join()}`)
    }
  })
  for (const [pods, rcode] of [
    ['insecure', 0],
    ['disabled', NXDOMAIN],
    ['insecure', 0],
    ['disabled', NXDOMAIN],
  ] as const) {
    writeFileSync(join(folder, 'Corefile'), corefile(pods))
    const inForce = async () => (await ask(PORT, '10-244-1-9.shop.pod.cluster.local')).rcode === rcode
    await until(`pods ${pods} is in force`, inForce, PATIENCE_MS)
  }
  ending.abort()
  await Promise.all(asking)
  t.same(wrong, [], `of ${asked} answers`)
})

t.test(
  'labels, endpoint with tls, kubeconfig: each of its own, and one that is not there costs the others nothing',
  { skip },
  async (t) => {
    await service('chosen', {}, { app: 'web' })
    await server.call('POST', SLICES, slice('loose-1', 'loose', [endpoint('10.244.2.1')]))
    await service('loose', { clusterIP: 'None' }, { app: 'web' })
    const own = corefile('disabled')
    const { url, clientCertFile, clientKeyFile, caFile } = server
    const others = {
      labelled: 'labels app=web',
      secured: `endpoint ${url}\n tls ${clientCertFile} ${clientKeyFile} ${caFile}`,
      configured: `kubeconfig ${server.kubeconfig}`,
      gone: 'endpoint https://127.0.0.1:1',
    }
    const blocks = Object.entries(others).map(([name, how]) => `${name}:${PORT} {\n kubernetes {\n ${how}\n }\n}\n`)
    writeFileSync(join(folder, 'Corefile'), own + blocks.join(''))
    const code = async (name: string) => (await ask(PORT, name)).rcode
    await until('the new servers are in force', async () => (await code('chosen.shop.svc.labelled')) === 0, PATIENCE_MS)
    for (const zone of ['cluster.local', 'secured', 'configured']) {
      await until(`${zone} is known`, async () => (await code(`web.shop.svc.${zone}`)) === 0, PATIENCE_MS)
      t.equal(await addresses(`db.shop.svc.${zone}`), '10.244.1.13', zone)
    }
    t.equal(await code('web.shop.svc.labelled'), NXDOMAIN, 'without the label')
    t.equal(await code('loose.shop.svc.labelled'), NXDOMAIN, 'labels are of EndpointSlices as well, as in CoreDNS')
    t.equal(await code('web.shop.svc.gone'), SERVFAIL, 'nobody knows')
    await service('later', {}, { app: 'web' })
    for (const zone of ['cluster.local', 'secured', 'configured', 'labelled'])
      await until(`${zone} is followed`, async () => (await code(`later.shop.svc.${zone}`)) === 0, PATIENCE_MS)

    const wrong = corefile('insecure').replace('pods', `kubeconfig ${folder}/none\n    pods`)
    writeFileSync(join(folder, 'Corefile'), wrong)
    const problem = `kubernetes has no way to a cluster`
    await until('a kubeconfig that is not there is told', async () => (await statusz()).includes(problem), PATIENCE_MS)
    t.equal(await code('web.shop.svc.secured'), 0, 'what was in force stays')
    writeFileSync(join(folder, 'Corefile'), own)
    await until('they are no more', async () => (await code('web.shop.svc.secured')) !== 0, PATIENCE_MS)
  },
)

t.test(
  'a port that somebody else has: an Event of the pod, once; tried again until it is free',
  { skip },
  async (t) => {
    const taken = createSocket('udp4')
    await new Promise<void>((resolve) => taken.bind(5353, resolve))
    const told = async (): Promise<readonly { regarding: object; note: string }[]> =>
      (await server.call('GET', '/apis/events.k8s.io/v1/namespaces/kube-system/events')).items.filter(
        ({ note }: { note: string }) => note.includes('5353'),
      )
    writeFileSync(join(folder, 'Corefile'), `${corefile('disabled')}\nother.test:5353 {\n  chaos\n  any\n}\n`)
    await until('an Event tells it', async () => (await told()).length > 0, PATIENCE_MS)
    const [event] = await told()
    t.match(event, {
      regarding: { kind: 'Pod', namespace: 'kube-system' },
      note: /^server block other\.test\.: cannot listen on .*:5353 .*: end the program that listens there/,
      reason: 'Refused',
    })
    const refused = async (): Promise<number | undefined> => {
      const shown = JSON.parse(await statusz()) as { targets: readonly { name: string; refused: { count: number } }[] }
      return shown.targets.find(({ name }) => name === 'carrier servers')?.refused.count
    }
    await until('the status tells it, too', async () => (await refused()) === 1, PATIENCE_MS)
    t.equal(await addresses('db.shop.svc.cluster.local'), '10.244.1.13', 'the others are served')
    taken.close()
    const answers = async () => (await ask(5353, 'x.other.test').catch(() => null)) !== null
    await until('it is served', answers, PATIENCE_MS)
    t.equal((await told()).length, 1, 'once')
  },
)

t.test('neither controller nor API server: a carrier that starts answers from disk', { skip }, async (t) => {
  const all = [...running]
  for (const child of all) child.kill('SIGTERM')
  await Promise.all(all.map(ended))
  running.clear()
  startCarrier()
  t.equal(await addresses('db.shop.svc.cluster.local'), '10.244.1.13')
})

const service = (name: string, spec: object, labels = {}) =>
  server.call('POST', '/api/v1/namespaces/shop/services', {
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { name, labels } },
    spec: { ports: [{ port: 80, targetPort: 8080 }], ...spec },
  })

const statusz = async (): Promise<string> => (await fetch('http://127.0.0.1:9154/statusz')).text()

const addresses = async (name: string): Promise<string> => (await ask(PORT, name)).addresses.toSorted().join(' ')

function startCarrier(): void {
  keep(
    start([carrier, 'dns', '--socket', socket, '--state', join(folder, 'state')], {
      stdio: ['ignore', 'inherit', 'inherit'],
    }),
  )
}

function startController(): void {
  const options = [
    '--socket',
    socket,
    '--corefile',
    join(folder, 'Corefile'),
    '--kubeconfig',
    kubeconfig,
    '--log',
    'warn',
  ]
  keep(start([process.execPath, MAIN, 'dns', ...options], { stdio: ['ignore', 'inherit', 'inherit'] }))
}

function keep(child: ChildProcess): void {
  running.add(child)
}

const corefile = (pods: string): string => `.:${PORT} {
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    pods ${pods}
    fallthrough in-addr.arpa ip6.arpa
  }
  reload 2s 1s
  loadbalance
}
`
/** In a network namespace of the test's own. */
const PORT = 53
const SERVFAIL = 2
const NXDOMAIN = 3
const PATIENCE_MS = 90_000
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices'
const MAIN = join(import.meta.dirname, '../../src/main.ts')
