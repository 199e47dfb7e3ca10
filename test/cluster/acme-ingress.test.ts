/** Certificates of a real Pebble, with its faults on, for Ingresses of a real API server: replicas as they ship, one of them killed in mid-order. */
import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { enterWorld } from '../netns/world.ts'
await enterWorld()

import { exec } from '../../src/kernel/exec.ts'
import type { Raw } from '../contract/service-objects.ts'
import { Cluster, CORE, ReplicaPair } from './acme-replicas.ts'
import { HTTPS, manage, Pebble } from './acme-world.ts'
import { whyNotBuilt } from './build.ts'
import { until } from './process.ts'

t.setTimeout(600_000)
t.jobs = 1
const skip = (await whyNotBuilt('components', 'pebble', 'pebble-challtestsrv')) ?? false

t.test('two replicas', { skip }, async (t) => {
  const pebble = await Pebble.start({
    faults: { PEBBLE_WFE_NONCEREJECT: '30', PEBBLE_VA_NOSLEEP: '0', PEBBLE_VA_SLEEPTIME: '1' },
  })
  t.teardown(() => pebble.stop())
  const cluster = await Cluster.start(t, pebble)
  const ca = await manage('roots/0')

  await t.test('http-01', async (t) => {
    const pair = await ReplicaPair.start(t, cluster, ['--acme-email', 'ops@example.test'])
    const has = async (name: string): Promise<string> => {
      await changed(name, null)
      return (await cluster.certificate(name))!
    }
    const changed = async (name: string, from: string | null): Promise<void> => {
      const isNew = async (): Promise<boolean> => ![null, from].includes(await cluster.certificate(name))
      await until(`another certificate in ${name}`, isNew, PATIENCE).catch((error: unknown) => {
        throw new Error(pair.all.map(({ said }) => said.slice(-4_000)).join('\n'), { cause: error })
      })
    }
    const shown = (name: string, host: string, chain: string): Promise<unknown> => {
      const leaf = new X509Certificate(chain).toString()
      return Promise.all(
        pair.all.map((each) => until(`${each.name} shows ${name}`, async () => (await each.shows(host, ca)) === leaf)),
      )
    }

    await t.test('a certificate for an Ingress that asks, shown by both', async (t) => {
      await cluster.publish('shop', 'shop.example.test')
      const chain = await has('shop')
      await shown('shop', 'shop.example.test', chain)
      const { type, metadata } = (await cluster.secret('x/shop'))!
      t.equal(type, 'kubernetes.io/tls')
      t.match(metadata.annotations, {
        'cert-manager.io/alt-names': 'shop.example.test',
        'cert-manager.io/issuer-name': 'letsencrypt',
        'cert-manager.io/issuer-kind': 'ClusterIssuer',
      })
      t.match(metadata.labels, { 'controller.cert-manager.io/fao': 'true' })
      const { stdout } = (await exec(
        ['openssl', 's_client', '-connect', `${pair.two.address}:${HTTPS}`, '-servername', 'shop.example.test'],
        { stdin: 'Q\n' },
      )) as { stdout: string }
      t.match(stdout, /issuer=.*Pebble Intermediate/i)
      for (const replica of pair.all) {
        const [status, location] = await replica.get('shop.example.test', '/cart')
        t.same([status, location], [308, 'https://shop.example.test/cart'])
        const [answered, , body] = await replica.get('shop.example.test', '/.well-known/acme-challenge/any-Token_1')
        t.equal(answered, 200, 'before the redirect')
        t.match(body, /^any-Token_1\.[\w-]{43}$/, 'whatever the token')
        t.equal((await replica.get('shop.example.test', '/.well-known/acme-challenge/no.token'))[0], 308)
      }
      await until('an Event', async () =>
        (await cluster.events()).some((line) => line.startsWith('Issued: certificate x/shop for shop.example.test')),
      )
      t.notOk(
        (await cluster.events()).some((line) => line.includes('does not exist')),
        'while it was ordered, too',
      )
    })

    await t.test('the leader tells how things stand', async (t) => {
      const [leader, follower] = await pair.inOrder(cluster)
      const certificates = async (): Promise<Raw> => JSON.parse(await leader.ask('/statusz')).certificates
      await until('it waits', async () => (await certificates())['first'][0]?.step.startsWith('waits until'))
      t.match(await certificates(), {
        count: 1,
        first: [{ secret: 'x/shop', ingress: 'x/shop', issuer: 'letsencrypt', step: /^waits until .*: renewal$/ }],
      })
      const metrics = await leader.ask('/metrics')
      t.match(metrics, /^fairlead_acme_orders_total [1-9]$/m)
      t.match(metrics, /^fairlead_acme_certificates_issued_total 1$/m)
      t.match(metrics, /^fairlead_acme_certificates_missing 0$/m)
      t.match(
        metrics,
        /^fairlead_acme_certificate_expiry_timestamp_seconds\{secret="x\/shop",issuer="letsencrypt"\} \d+/m,
      )
      t.match(JSON.parse(await follower.ask('/statusz')).certificates, { count: 0 })
    })

    await t.test('a leader that is killed in mid-order: the other one finishes that order', async (t) => {
      const [leader, follower] = await pair.inOrder(cluster)
      const issued = pebble.issued
      // Its leader does not let the server look while a proxy is silent: the order is under way for as long as that takes.
      follower.hold()
      await cluster.publish('mid', 'mid.example.test')
      let url: string | null = null
      await until('the order is written down', async () => {
        url = (await cluster.record('mid'))?.order?.url ?? null
        return url !== null
      })
      t.equal(await cluster.certificate('mid'), null, 'it is under way')
      const before = follower.said.length
      await leader.kill()
      follower.go()
      const chain = await has('mid')
      t.equal(await cluster.leader(), follower.name)
      await leader.again()
      await shown('mid', 'mid.example.test', chain)
      await until('the order is closed', async () => (await cluster.record('mid'))?.order === null)
      t.equal((await cluster.record('mid'))!.begun.length, 1, 'no other order was made')
      t.equal(pebble.issued - issued, 1)
      const said = (): string => follower.said.slice(before)
      await until('it says how it went on', () => said().includes('"step":"finalize"'))
      t.notOk(said().includes('"step":"order"'))
    })

    await t.test('a Secret that somebody deletes comes again', async () => {
      const chain = await has('shop')
      await cluster.api.call('DELETE', `${CORE}/secrets/shop`)
      await changed('shop', chain)
      await shown('shop', 'shop.example.test', (await cluster.certificate('shop'))!)
    })

    await t.test('the server wants it renewed; the next leader asks, and does', async (t) => {
      const chain = await has('mid')
      const [leader, follower] = await pair.inOrder(cluster)
      const past = { start: new Date(Date.now() - 7_200_000), end: new Date(Date.now() - 3_600_000) }
      await manage('set-renewal-info/', {
        certificate: new X509Certificate(chain).toString(),
        ariResponse: JSON.stringify({ suggestedWindow: past }),
      })
      await leader.end()
      await changed('mid', chain)
      t.equal(await cluster.leader(), follower.name)
      await leader.again()
      await shown('mid', 'mid.example.test', (await cluster.certificate('mid'))!)
    })

    for (const { said } of pair.all) t.notMatch(said, /PRIVATE KEY|BEGIN CERT|is forbidden/)
  })

  await t.test('tls-alpn-01', async (t) => {
    const pair = await ReplicaPair.start(t, cluster, ['--acme-challenge', 'tls-alpn-01'])
    await cluster.publish('alpn', 'alpn.example.test')
    await until('a certificate', async () => (await cluster.certificate('alpn')) !== null, PATIENCE)
    const leaf = new X509Certificate((await cluster.certificate('alpn'))!).toString()
    for (const replica of pair.all)
      await until(`${replica.name} shows it`, async () => (await replica.shows('alpn.example.test', ca)) === leaf)
    const [leader] = await pair.inOrder(cluster)
    await until('it says what it did', () => leader.said.includes('"step":"present"'))
    const leases = await cluster.api.call(
      'GET',
      '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases?labelSelector=fairlead.io/acme%3Dreplica',
    )
    await until('no challenge is answered any more', async () => {
      const { data } = (await cluster.secret('kube-system/fairlead-acme-answers'))!
      return Object.keys(JSON.parse(Buffer.from(data['answers'], 'base64').toString()).orders).length === 0
    })
    t.same(leases.items.map((lease: { spec: { holderIdentity: string } }) => lease.spec.holderIdentity).sort(), [
      'one',
      'two',
    ])
    for (const { said } of pair.all) t.notMatch(said, /PRIVATE KEY|BEGIN CERT|is forbidden/)
  })
})

const PATIENCE = { deadlineMs: 120_000 }
