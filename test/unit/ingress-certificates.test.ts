/** Which certificates are ordered for Ingresses, and what the proxy is told while they are. */
import t from 'tap'
import { printAnswers, revisionOf } from '../../src/ingress/acme/answers.ts'
import type { Issuer } from '../../src/ingress/acme/wanted.ts'
import { backendObjects, ingress, secret, tlsSecret } from '../contract/ingress-objects.ts'
import { IngressRoom } from '../contract/ingress-room.ts'

const issuer = (name: string): Issuer => ({
  ...{ name, directory: 'https://ca.test/dir', email: null, challenge: 'http-01', dns: null },
  ...{ profile: null, binding: null },
})
const acme = {
  issuers: {
    byName: new Map(['le', 'other'].map((name) => [name, issuer(name)])),
    common: issuer('le'),
  },
  answers: 'edge/fairlead-acme-answers',
}
const TLS_ACME = { 'kubernetes.io/tls-acme': 'true' }
const asks = (path: string, host: string, more: object = {}, secretName = 'cert') =>
  ingress(path, {
    ...{ paths: { [`${host}/`]: 'a' }, tls: [{ hosts: [host], secretName }], annotations: TLS_ACME },
    ...more,
  })

const wantedIn = (room: IngressRoom) => {
  room.settle()
  return [...room.proxying.certificates.wanted.entries()].map(([key, { wanted, digest }]) => ({
    ...{ key, names: wanted.names, ingress: wanted.ingress, issuer: wanted.issuer.name, isThere: digest !== '' },
  }))
}

t.test('by Ingresses that are served and ask; nothing is said of a Secret that is yet to come', async (t) => {
  const room = new IngressRoom({ acme }, [...backendObjects('x/a', ['10.0.0.1']), asks('x/i', 'a.org')])
  t.same(wantedIn(room), [{ key: 'x/cert', names: ['a.org'], ingress: 'x/i', issuer: 'le', isThere: false }])
  t.same(room.complaints(), [])
  t.match(room.row('sni', 'a.org').shows, { certificate: { certificate: 'pair default' } })
  room.put(tlsSecret('x/cert', ['a.org']))
  t.match(wantedIn(room), [{ isThere: true }])
  t.match(room.row('sni', 'a.org').shows, { certificate: { certificate: 'pair x/cert' } })
  const before = room.proxying.certificates.wanted.get('x/cert')!.digest
  room.put(tlsSecret('x/cert', ['a.org']))
  room.settle()
  t.not(room.proxying.certificates.wanted.get('x/cert')!.digest, before, 'somebody changed it')
  room.put(secret('x/cert', { 'tls.crt': 'spoilt', 'tls.key': 'spoilt' }))
  t.match(room.complaints(), [/^Ingress x\/i spec\.tls\[0\]\.secretName: names the Secret x\/cert, which /])
  room.put(asks('x/i', 'a.org', { className: 'of-others' }))
  t.same(wantedIn(room), [])
})

t.test('without an ACME server everything is as it was', async (t) => {
  const room = new IngressRoom({}, [...backendObjects('x/a', ['10.0.0.1']), asks('x/i', 'a.org')])
  t.same(wantedIn(room), [])
  t.match(room.complaints(), [/names the Secret x\/cert, which does not exist/])
})

t.test('one Secret of several Ingresses', async (t) => {
  const later = { created: '2026-02-01T00:00:00Z' }
  const room = new IngressRoom({ acme }, [
    ...backendObjects('x/a', ['10.0.0.1']),
    asks('x/b', 'b.org'),
    asks('x/a', 'a.org', later),
    asks('x/c', 'c.org', { ...later, annotations: { 'cert-manager.io/cluster-issuer': 'other' } }),
  ])
  t.same(wantedIn(room), [{ key: 'x/cert', names: ['a.org', 'b.org'], ingress: 'x/b', issuer: 'le', isThere: false }])
  t.match(room.complaints(), [
    /^Ingress x\/c spec\.tls: asks other for the Secret x\/cert, which Ingress x\/b, .* asks le/,
  ])
  const hosts = Array.from({ length: 100 }, (_, i) => `h${i}.org`)
  room.put(ingress('x/a', { ...later, tls: [{ hosts, secretName: 'cert' }], annotations: TLS_ACME }))
  t.match(wantedIn(room), [{ names: ['b.org'] }])
  t.match(room.complaints().join('\n'), /Ingress x\/a spec\.tls: would make more than 100 names/)
})

t.test('answers to challenges are rows, of a Secret that is followed by name', async (t) => {
  const room = new IngressRoom({ acme }, [])
  t.ok([...room.proxying.references.entries()].some(([key]) => key === 'Secret edge/fairlead-acme-answers'))
  const of = (table: 'proxy' | 'secrets' | 'revision') => {
    room.settle()
    return [...room.proxying.certificates[table].entries()]
  }
  t.same([of('proxy'), of('secrets'), of('revision')], [[], [], []])
  const pair = { name: 'a.org', chain: 'chain', key: 'key' }
  const text = printAnswers({
    accounts: { 'https://ca.test/dir': 'thumb' },
    orders: { 'x/cert': { directory: 'https://ca.test/dir', hosts: ['a.org'], pairs: [pair], records: [] } },
  })
  room.put(secret('edge/fairlead-acme-answers', { answers: text }))
  t.same(of('revision'), [['', revisionOf(text)]])
  t.same(of('proxy'), [['thumbprint thumb', { kind: 'thumbprint', thumbprint: 'thumb', hosts: [] }]])
  t.same(of('secrets'), [['challenge a.org', { kind: 'pair', chain: 'chain', key: 'key', challenge: 'a.org' }]])
  t.ok(room.rows().has('thumbprint thumb'))
  t.ok(room.proxying.secrets.has('challenge a.org'))
  room.put(secret('edge/fairlead-acme-answers', { answers: '{"accounts":' }))
  t.same([of('proxy'), of('secrets')], [[], []], 'spoilt: nothing is answered')
})
