/** The ingress controller as it ships, against a real API server, with the account of manifests/rbac-ingress.yaml. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { CLASS, backendObjects, ingress, tlsSecret } from '../contract/ingress-objects.ts'
import { keys, start } from '../contract/ingress-process.ts'
import type { Raw } from '../contract/service-objects.ts'
import { ended, until } from '../netns/waiting.ts'
import { FakeCarrier } from '../unit/carrier-world.ts'
import { makeAccount } from './account.ts'
import { startApiServer } from './apiserver.ts'
import { whyNotBuilt } from './build.ts'

const folder = mkdtempSync(join(tmpdir(), 'fairlead-ingress-'))
t.setTimeout(600_000)
t.teardown(() => rmSync(folder, { recursive: true, force: true }))
const skip = (await whyNotBuilt()) ?? false

t.test(
  'routes, certificates by reference, status and Events, with no more rights than the manifest gives',
  { skip },
  async (t) => {
    const server = await startApiServer({ say: (line) => t.comment(line) })
    t.teardown(() => server.stop())
    const carrier = await new FakeCarrier().listen()
    t.teardown(() => carrier.end())
    await server.call('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'x' } })
    await server.call('POST', CLASSES, CLASS)
    const [service, slice] = backendObjects('x/a', ['10.0.0.1'], { clusterIP: undefined }) as [Raw, Raw]
    await server.call('POST', `${CORE}/services`, service)
    await server.call('POST', SLICES, slice)
    for (const name of ['cert', 'other'])
      await server.call('POST', `${CORE}/secrets`, tlsSecret(`x/${name}`, ['a.org']))
    const given = {
      paths: { 'a.org/': 'a' },
      tls: [{ hosts: ['a.org'], secretName: 'cert' }],
      annotations: { 'proxy-body-size': 'many' },
    }
    await server.call('POST', INGRESSES, ingress('x/i', given))
    const kubeconfig = await makeAccount(server, 'rbac-ingress.yaml', join(folder, 'kubeconfig'))
    const controller = start(t, folder, [
      '--kubeconfig',
      kubeconfig,
      '--socket',
      carrier.path,
      '--publish-status-address',
      '192.0.2.1,lb.example.org',
    ])
    await until('ready', async () => (await controller.ask('/readyz'))[0] === 200)
    t.same(keys(carrier, 'secrets'), ['pair default', 'pair x/cert'])
    t.ok(keys(carrier, 'proxy').includes('endpoint x/a:80 10.0.0.1 8080'))
    await until('status', async () => {
      const { status } = await server.call('GET', `${INGRESSES}/i`)
      return JSON.stringify(status.loadBalancer?.ingress) === '[{"ip":"192.0.2.1"},{"hostname":"lb.example.org"}]'
    })
    await until('an Event', async () => {
      const { items } = await server.call('GET', `${CORE}/events`)
      return (items as Raw[]).some(
        (it) => it['involvedObject'].kind === 'Ingress' && String(it['message']).includes('proxy-body-size'),
      )
    })
    const renewed = tlsSecret('x/cert', ['a.org'])
    const before = JSON.stringify(carrier.tables.get('secrets')?.rows.get('pair x/cert'))
    await server.call('PUT', `${CORE}/secrets/cert`, renewed)
    await until(
      'a renewed certificate',
      () => JSON.stringify(carrier.tables.get('secrets')?.rows.get('pair x/cert')) !== before,
    )
    t.notMatch(controller.said(), /forbidden|is not permitted/i)
    controller.child.kill('SIGTERM')
    t.equal(await ended(controller.child), 0)
  },
)

const CORE = '/api/v1/namespaces/x'
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/x/endpointslices'
const INGRESSES = '/apis/networking.k8s.io/v1/namespaces/x/ingresses'
const CLASSES = '/apis/networking.k8s.io/v1/ingressclasses'
