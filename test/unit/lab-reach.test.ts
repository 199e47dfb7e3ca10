/** What leads into the lab from outside: which nodes a load-balancer address goes to, what a published port leads to. */
import t from 'tap'
import { createStore } from '../../src/lab/api/create.ts'
import type { Fields } from '../../src/lab/api/object.ts'
import type { Store } from '../../src/lab/api/store.ts'
import { createControlPlane } from '../../src/lab/controllers/plane.ts'
import { parsePublication, SPARES, type Publication } from '../../src/lab/publication.ts'
import { publishedOf } from '../../src/lab/publish.ts'
import { announced } from '../../src/lab/reach.ts'
import { must, service } from './lab-objects.ts'

const NODES = ['172.30.0.11', '172.30.0.12']

function slice(store: Store, name: string, addressType: string, endpoints: readonly Fields[], more: Fields = {}): void {
  const labels = { 'kubernetes.io/service-name': name }
  must(
    store.create({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { generateName: `${name}-`, namespace: 'default', labels },
      addressType,
      ports: [{ name: '', port: 8080 }],
      endpoints,
      ...more,
    }),
  )
}

function endpoint(ip: string, nodeName: string, conditions: Fields = { ready: true }): Fields {
  return { addresses: [ip], nodeName, conditions }
}

function balancer(store: Store, name: string, spec: Fields, ingress: readonly Fields[]): void {
  const made = must(store.create(service(name, { type: 'LoadBalancer', ...spec })))
  const ref = { resource: 'services', namespace: 'default', name: made.metadata.name }
  store.modify(ref, (next) => void (next['status'] = { loadBalancer: { ingress } }), 'status')
}

t.test('addresses of Services with externalTrafficPolicy Local go to nodes that have an endpoint', async (t) => {
  const store = createStore()
  balancer(store, 'all', {}, [{ ip: '172.30.0.193' }])
  balancer(store, 'local', { externalTrafficPolicy: 'Local' }, [{ ip: '172.30.0.194' }, { ip: 'fd00:172:30::c2' }])
  slice(store, 'all', 'IPv4', [endpoint('10.244.1.9', 'n1')])
  t.same([...announced(store)], [], 'without an endpoint every node is as good')

  slice(store, 'local', 'IPv4', [
    endpoint('10.244.2.2', 'n2'),
    endpoint('10.244.1.2', 'n1'),
    endpoint('10.244.1.3', 'n1'),
    endpoint('192.0.2.9', ''), // on no node: written by hand
    endpoint('10.244.3.2', 'n3', { ready: false, serving: true, terminating: true }),
  ])
  slice(store, 'local', 'IPv6', [endpoint('fd00:10:244:3::2', 'n3', {})])
  t.same(
    [...announced(store)],
    [
      ['172.30.0.194', ['n1', 'n2']],
      ['fd00:172:30::c2', ['n3']],
    ],
    'each family for itself; no condition is ready; who ends is passed over',
  )
})

t.test('when all end, the nodes where they still answer', async (t) => {
  const store = createStore()
  balancer(store, 'local', { externalTrafficPolicy: 'Local' }, [{ ip: '172.30.0.194' }])
  slice(store, 'local', 'IPv4', [
    endpoint('10.244.2.2', 'n2', { ready: false, serving: true, terminating: true }),
    endpoint('10.244.1.2', 'n1', { ready: false, serving: false, terminating: true }),
  ])
  t.same([...announced(store)], [['172.30.0.194', ['n2']]])
})

t.test('what may be written after --publish', async (t) => {
  const read = (text: string): Publication | string => {
    const parsed = parsePublication(text)
    return parsed.kind === 'done' ? parsed.publication : parsed.problem
  }
  const web = { namespace: 'default', name: 'web' }
  t.same(read('8080:web'), { listen: '127.0.0.1:8080', service: web, port: null })
  t.same(read('08080:web:80'), { listen: '127.0.0.1:8080', service: web, port: '80' })
  t.same(read('0.0.0.0:0:web:http'), { listen: '0.0.0.0:0', service: web, port: 'http' })
  t.same(read('[::1]:80:shop/web'), {
    listen: '[::1]:80',
    service: { namespace: 'shop', name: 'web' },
    port: null,
  })
  for (const text of ['', 'web', '8080', '8080:', '8080:Web', '1.2.3:80:web', '65536:web', '80:a/b/c', '80:web:80:80'])
    t.match(read(text), /^--publish .*: .*(write|is no)/, text)
})

t.test('what a published port leads to', async (t) => {
  const store = createStore()
  balancer(store, 'lb', {}, [{ ip: '172.30.0.193' }, { ip: 'fd00:172:30::c1' }])
  must(store.create(service('np', { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] })))
  const ports = [
    { name: 'dns', port: 53, protocol: 'UDP' },
    { name: 'web', port: 80 },
  ]
  must(store.create(service('plain', { ports })))
  slice(store, 'plain', 'IPv4', [endpoint('10.244.1.2', 'n1'), endpoint('10.244.2.2', 'n2', { ready: false })], {
    ports: [
      { name: 'dns', port: 5353, protocol: 'UDP' },
      { name: 'web', port: 8080 },
    ],
  })
  const of = (name: string, port: string | null = null): Publication => ({
    listen: '127.0.0.1:0',
    service: { namespace: 'default', name },
    port,
  })
  const asked = [of('lb', '80'), of('np'), of('plain', 'web'), of('plain'), of('plain', 'dns'), of('nobody')]
  const listens = asked.map((_, i) => `127.0.0.1:${i}`)
  t.same(
    publishedOf(store, asked, listens, NODES).map(({ listen, target, to }) => [listen, target, ...to]),
    [
      ['127.0.0.1:0', 'lb:80', '172.30.0.193:80', '[fd00:172:30::c1]:80'],
      ['127.0.0.1:1', 'np:80', '172.30.0.11:30080', '172.30.0.12:30080'],
      ['127.0.0.1:2', 'plain:80', '10.244.1.2:8080'],
      ['127.0.0.1:3', 'plain:80', '10.244.1.2:8080'],
      ['127.0.0.1:4', null],
      ['127.0.0.1:5', null],
    ],
    'TCP only; the first port when none is named',
  )
})

t.test('sockets that nobody asked for lead to load balancers', async (t) => {
  const { store, runner } = createControlPlane({})
  const listens = SPARES.map((_, i) => `127.0.0.1:${i}`)
  must(store.create(service('plain')))
  for (let i = 0; i < 5; i++) must(store.create(service(`lb${i}`, { type: 'LoadBalancer' })))
  runner.settle()
  const targets = (publications: readonly Publication[]): (string | null)[] =>
    publishedOf(store, publications, listens, NODES).map(({ target }) => target)
  t.same(targets(SPARES), ['lb0:80', 'lb1:80', 'lb2:80', 'lb3:80'])
  const asked = { listen: '127.0.0.1:0', service: { namespace: 'default', name: 'lb1' }, port: null }
  t.same(targets([SPARES[0]!, asked, SPARES[1]!]), ['lb0:80', 'lb1:80', 'lb2:80'], 'none twice')
})
