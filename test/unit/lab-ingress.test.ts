/** What the lab adds for Ingresses: the default class, certificates of its own authority, what `get` and the page say. */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { load } from 'js-yaml'
import t from 'tap'
import { applyObjects } from '../../src/lab/api/apply.ts'
import { createStore } from '../../src/lab/api/create.ts'
import type { ApiObject, Fields } from '../../src/lab/api/object.ts'
import type { Store } from '../../src/lab/api/store.ts'
import { tableOf } from '../../src/lab/api/table.ts'
import { Authority, isLocal } from '../../src/lab/authority.ts'
import { createControlPlane } from '../../src/lab/controllers/plane.ts'
import { ingressObjects } from '../../src/lab/ingress.ts'
import { INGRESS_PORTS } from '../../src/lab/publication.ts'
import { publishedOf } from '../../src/lab/publish.ts'
import { waysOf } from '../../src/lab/ways.ts'
import { must } from './lab-objects.ts'

const ingress = (name: string, spec: Fields = {}, metadata: Fields = {}): Fields => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'Ingress',
  metadata: { name, namespace: 'default', ...metadata },
  spec,
})
const ingressClass = (name: string, isDefault: boolean, controller = 'fairlead.io/ingress'): Fields => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'IngressClass',
  metadata: { name, annotations: { 'ingressclass.kubernetes.io/is-default-class': String(isDefault) } },
  spec: { controller },
})

t.test('a new Ingress without a class gets the default one', async (t) => {
  let nowMs = Date.parse('2026-01-01T00:00:00Z')
  const store = createStore({ nowMs: () => nowMs })
  const classOf = (name: string): unknown => store.get('ingresses', 'default', name)!['spec'].ingressClassName
  must(store.create(ingress('early')))
  t.equal(classOf('early'), undefined, 'there is none yet')
  must(store.create(ingressClass('b', true)))
  must(store.create(ingressClass('a', false)))
  must(store.create(ingress('one')))
  must(store.create(ingress('named', { ingressClassName: 'a' })))
  must(store.create(ingress('old', {}, { annotations: { 'kubernetes.io/ingress.class': 'nginx' } })))
  t.same(['one', 'named', 'old'].map(classOf), ['b', 'a', undefined])
  must(store.update(ingress('early')))
  t.equal(classOf('early'), undefined, 'one that was there before has none')
  nowMs += 1000
  must(store.create(ingressClass('c', true)))
  must(store.create(ingress('two')))
  t.equal(classOf('two'), 'c', 'the newest of several')
})

t.test('certificates for names below localhost', async (t) => {
  const authority = new Authority()
  const { store, runner } = createControlPlane({ authority })
  const tls = (...hosts: string[]): Fields => ({ tls: [{ hosts, secretName: 'cert' }] })
  const secret = (name = 'cert'): ApiObject | undefined => store.get('secrets', 'default', name)
  const names = (): string | undefined => leafOf(secret()!).subjectAltName
  const put = (object: Fields): void => {
    applyObjects(store, [object as never], { owner: object['metadata'].name })
    runner.settle()
  }
  put(ingress('shop', tls('shop.localhost')))
  t.equal(secret()!['type'], 'kubernetes.io/tls')
  const leaf = leafOf(secret()!)
  const root = new X509Certificate(authority.certificate)
  t.ok(leaf.checkIssued(root) && leaf.verify(root.publicKey), 'signed by the authority')
  t.same([root.ca, leaf.ca], [true, false])
  t.equal(names(), 'DNS:shop.localhost')
  put(ingress('more', tls('b.localhost', 'a.shop.localhost')))
  t.equal(names(), 'DNS:a.shop.localhost, DNS:b.localhost, DNS:shop.localhost', 'of all that name the Secret')
  const before = secret()
  runner.settle()
  t.equal(secret(), before, 'none is made twice')
  must(store.delete({ resource: 'secrets', namespace: 'default', name: 'cert' }))
  runner.settle()
  t.ok(secret(), 'made again')
  for (const name of ['shop', 'more']) must(store.delete({ resource: 'ingresses', namespace: 'default', name }))
  runner.settle()
  t.equal(secret(), undefined, 'gone with the last Ingress that names it')

  put(ingress('world', tls('shop.localhost', 'example.org')))
  t.equal(secret(), undefined, 'nobody else believes this authority about other names')
  const theirs = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'cert', namespace: 'default' }, data: {} }
  must(store.create(theirs))
  put(ingress('world', tls('shop.localhost')))
  t.same(secret()!['data'], {}, "a person's own Secret stays")
  t.same(['localhost', 'a.localhost', 'notlocalhost', 'localhost.org', ''].map(isLocal), [
    true,
    true,
    false,
    false,
    false,
  ])
  runner.stop()
})

t.test('what get shows, as kubectl', async (t) => {
  const cells = (object: Fields): unknown => {
    const table = tableOf({ kind: 'IngressList', items: [object], metadata: {} })
    t.same(
      table['columnDefinitions'].map(({ name }: Fields) => name),
      ['Name', 'Class', 'Hosts', 'Address', 'Ports', 'Age'],
    )
    return table['rows'][0].cells.slice(0, -1)
  }
  t.same(cells(ingress('all')), ['all', '<none>', '*', '', '80'])
  const rules = ['a', 'b', 'c', 'd', 'e'].map((host) => ({ host }))
  const many = ingress('many', { ingressClassName: 'fairlead', rules, tls: [{}] })
  const status = { loadBalancer: { ingress: [{ ip: '172.30.0.254' }, { hostname: 'lb.example' }] } }
  t.same(cells({ ...many, status }), ['many', 'fairlead', 'a,b,c + 2 more...', '172.30.0.254,lb.example', '80, 443'])
  const table = tableOf({ kind: 'IngressClassList', items: [ingressClass('fairlead', true)], metadata: {} })
  t.same(table['rows'][0].cells.slice(0, -1), ['fairlead', 'fairlead.io/ingress', '<none>'])
})

t.test('the page says where Ingresses are', async (t) => {
  const { store, runner } = createControlPlane()
  const listens = ['127.0.0.1:8080', '127.0.0.1:9443']
  const ways = (): string[] => {
    runner.settle()
    return waysOf(store, publishedOf(store, INGRESS_PORTS, listens, []), '/ca.crt')
  }
  t.same(ways(), [], 'without the Service')
  mustAll(store, ingressObjects({ place: '/p' }))
  runner.settle()
  t.equal(
    store.get('services', 'kube-system', 'fairlead-ingress')!['status'].loadBalancer.ingress[0].ip,
    '172.30.0.254',
  )
  t.match(ways(), [/^ {2}http:\/\/127\.0\.0\.1:8080 {2}Ingresses, of which there are none yet; .*shop\.yaml$/])
  must(
    store.create({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'frontend', namespace: 'default' },
      spec: { ports: [{ port: 80 }] },
    }),
  )
  t.match(ways(), [/example-boutique\.yaml$/])

  mustAll(store, [manifest('../../src/lab/example/shop.yaml'), manifest('../../manifests/example-boutique.yaml')])
  mustAll(store, [
    ingress('far', { rules: [{ host: 'far.example' }, { host: '*.example' }] }),
    ingress('other', { ingressClassName: 'nobody', rules: [{ host: 'other.localhost' }] }),
  ])
  t.same(ways(), [
    '  http://boutique.localhost:8080  https://boutique.localhost:9443  Ingress boutique',
    '  curl --connect-to far.example:80:127.0.0.1:8080 http://far.example  Ingress far',
    '  http://shop.localhost:8080  https://shop.localhost:9443  Ingress shop',
    '  Certificates of names below localhost are by /ca.crt: curl --cacert, or let a browser trust it',
  ])
  runner.stop()
})

const manifest = (path: string): Fields => load(readFileSync(new URL(path, import.meta.url), 'utf8')) as Fields
const leafOf = (secret: ApiObject): X509Certificate =>
  new X509Certificate(Buffer.from(secret['data']['tls.crt'], 'base64'))

function mustAll(store: Store, objects: readonly unknown[]): void {
  for (const object of objects) must(store.create(object))
}
