/** Controller and carrier as they ship, killed under load, flooded, and without an API server: what clients notice. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createStore } from '../../src/lab/api/create.ts'
import { createApiServer } from '../../src/lab/api/server.ts'
import { until } from '../netns/waiting.ts'
import { ask } from './dns-client.ts'
import { Load, Probe } from './dns-load.ts'
import { namespace, service } from './dns-objects.ts'
import { ofCluster, residentKiB, ShippedDns } from './dns-shipped.ts'
import { Garbage } from './garbage.ts'
import type { Raw } from './service-objects.ts'

t.setTimeout(570_000)

const host = (name: string): string => `${name}.x.svc.cluster.local.`

/** Services that stay as they are, and others whose addresses are of a round. */
const steady = Array.from({ length: 400 }, (_, i) => ({ name: `steady${i}`, ip: `10.96.${i >> 8}.${i & 255}` }))
const changing = Array.from({ length: 200 }, (_, i) => `changing${i}`)
const addressOf = (i: number, round: number): string => `10.97.${round}.${i}`
function objects(round: number): Raw[] {
  const services = [...steady, ...changing.map((name, i) => ({ name, ip: addressOf(i, round) }))]
  return [namespace('x'), ...services.map(({ name, ip }) => service(`x/${name}`, [ip]))]
}

/** Controller, carrier and load on the names of round 0. */
async function underLoad(t: Test) {
  const dns = await ShippedDns.make(t)
  dns.write(objects(0))
  dns.startCarrier()
  dns.startController()
  await answers(dns, host('changing199'), addressOf(199, 0))
  const changes = changing.map((name, i) => new Probe(host(name), addressOf(i, 0)))
  const probes = [...steady.map(({ name, ip }) => new Probe(host(name), ip)), ...changes]
  const load = await Load.start(dns.port, [...probes, new Probe(host('nobody'), null)])
  t.teardown(() => load.close())
  /** So many more queries, sent from now on, have answers. */
  const goesOn = async (count: number): Promise<void> => {
    const { sent } = load
    await until(`${count} more answers`, () => load.newest >= sent + count)
  }
  return { dns, load, changes, goesOn }
}

/** A Corefile that asks for other names than those of another number. */
const numbered = (number: number) =>
  ofCluster(
    `pods insecure\n${number % 2 === 0 ? '' : 'endpoint_pod_names'}`,
    `hosts /dev/null number.example {\n192.0.2.${number} number.example\n}`,
  )

async function answers(dns: ShippedDns, name: string, address: string): Promise<void> {
  await until(`${name} is ${address}`, async () => (await ask(dns.port, name)).addresses.join() === address)
}

t.test('kill -9 of the controller, changes under way: no answer is wrong, none is lost', async (t) => {
  const { dns, load, changes, goesOn } = await underLoad(t)
  for (let round = 1; round <= 4; round++) {
    changes.forEach((probe, i) => probe.changes(addressOf(i, round)))
    dns.write(objects(round))
    // Before it reads them, as soon as some are in force, or when all are.
    if (round % 2 === 0) await answers(dns, changes[0]!.name, addressOf(0, round))
    await dns.killController()
    await goesOn(3_000)
    dns.startController()
    await until('the names of this round', () => changes.every(({ right }) => right.length === 1))
  }
  await load.end()
  t.strictSame(load.wrong, [])
  t.equal(load.answered, load.sent)
  t.ok(load.sent > 12_000, `${load.sent} queries`)
})

t.test('a controller comes with another Corefile: no answer is wrong, none is lost', async (t) => {
  const { dns, load, goesOn } = await underLoad(t)
  for (let number = 1; number <= 4; number++) {
    await dns.killController()
    dns.corefile(numbered(number)(dns.ports))
    dns.startController()
    await answers(dns, 'number.example.', `192.0.2.${number}`)
    await goesOn(1_000)
  }
  await load.end()
  t.strictSame(load.wrong, [])
  t.equal(load.answered, load.sent)
})

t.test(
  'a controller comes with another Corefile and without an API server: until it knows names, those before are answered',
  async (t) => {
    const { dns, load, goesOn } = await underLoad(t)
    await dns.killController()
    dns.corefile(numbered(1)(dns.ports))
    dns.said = ''
    dns.startController(['--api-server', `unix://${join(dns.folder, 'nobody.sock')}`])
    await until('it misses the API server', () => /nobody\.sock/.test(dns.said))
    await goesOn(1_000)
    await dns.killController()
    dns.startController()
    await answers(dns, 'number.example.', '192.0.2.1')
    await load.end()
    t.strictSame(load.wrong, [])
    t.equal(load.answered, load.sent)
  },
)

t.test('kill -9 of the worker: no answer is wrong, and none is lost that was asked once it was gone', async (t) => {
  const { dns, load, goesOn } = await underLoad(t)
  for (const who of ['with', 'with', 'without']) {
    if (who === 'without') await dns.killController()
    await goesOn(1_000)
    const begun = performance.now()
    await dns.killWorker()
    const { sent } = load
    const lostBefore = load.lost.length
    load.writeOff()
    // The sockets are the supervisor's: what came meanwhile waits in them for the next worker.
    await until('the next worker answers', () => load.newest > sent)
    const tookMs = Math.round(performance.now() - begun)
    await goesOn(2_000)
    t.comment(
      `${who} a controller: ${load.lost.length - lostBefore} lost, ${tookMs} ms from the kill to the next answer`,
    )
  }
  await load.end()
  t.strictSame(load.wrong, [])
  t.equal(load.answered + load.lost.length, load.sent)
})

t.test('no API server: names from the disk, else none, and /ready says which', async (t) => {
  const dns = await ShippedDns.make(t)
  const path = join(dns.folder, 'api.sock')
  const store = createStore()
  store.create(namespace('x'))
  store.create(service('x/web', ['10.96.0.80']))
  const source = ['--api-server', `unix://${path}`]
  const server = createApiServer(store)
  const open = (): Promise<void> => new Promise((resolve) => server.listen({ path }, resolve))
  const close = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }
  t.teardown(close)
  const { port } = dns
  const serves = (why: string): Promise<void> => until(why, async () => (await dns.ready()) !== null)

  dns.startCarrier()
  dns.startController(source)
  await serves('the servers are there without the names')
  // Nothing is known of the cluster: a name may exist, so nothing is denied.
  t.strictSame(await ask(port, host('web')), { rcode: 2, addresses: [] })
  t.strictSame(await ask(port, host('nobody')), { rcode: 2, addresses: [] })
  t.strictSame(await dns.ready(), { status: 503, text: 'kubernetes' })
  await until('the controller says so', () => /api\.sock/.test(dns.said))

  await open()
  await answers(dns, host('web'), '10.96.0.80')
  await until('ready', async () => (await dns.ready())?.status === 200)
  t.strictSame(await ask(port, host('nobody')), { rcode: 3, addresses: [] })

  await close()
  await dns.killController()
  await dns.killCarrier()
  dns.said = ''
  dns.startCarrier()
  dns.startController(source)
  // From the disk: ready, for what is answered was true when it was last known.
  t.strictSame(await ask(port, host('web')), { rcode: 0, addresses: ['10.96.0.80'] })
  await until('ready from the disk', async () => (await dns.ready())?.status === 200)
  const heard = [/talking with the carrier/, /api\.sock/] // in no order
  await until('it talks with the carrier, and not with an API server', () => heard.every((it) => it.test(dns.said)))
  t.strictSame(
    await ask(port, host('web')),
    { rcode: 0, addresses: ['10.96.0.80'] },
    'a controller that knows nothing takes nothing away',
  )
  t.strictSame(await ask(port, host('nobody')), { rcode: 3, addresses: [] })
  t.match(await dns.ready(), { status: 200 })

  store.create(service('x/new', ['10.96.0.81']))
  await open()
  await answers(dns, host('new'), '10.96.0.81')
})

t.test('a flood of garbage does not grow memory, and queries in between are answered', async (t) => {
  const dns = await ShippedDns.make(t)
  dns.write([namespace('x'), service('x/web', ['10.96.0.80'])])
  dns.startCarrier()
  dns.startController()
  await answers(dns, host('web'), '10.96.0.80')
  const held = (): number[] => [dns.supervisor, dns.worker!].map(residentKiB)
  const garbage = await Garbage.make(dns.port, host('web'))
  t.teardown(() => garbage.close())
  const half = async (): Promise<number[]> => {
    for (let sent = 0; sent < PACKETS / 2; sent += BURST) {
      const answer = await garbage.send(BURST)
      if (answer.join() !== `${host('web')} 30 A 10.96.0.80`) throw new Error(`a good query got ${answer.join()}`)
    }
    return held()
  }
  const worker = dns.worker
  const [begun, middle, end] = [held(), await half(), await half()]
  t.comment(`supervisor and worker: ${begun.join('+')} KiB, half way ${middle.join('+')}, in the end ${end.join('+')}`)
  t.equal(dns.worker, worker, 'the same worker all the time')
  middle.forEach((then, i) => t.ok(end[i]! - then < GROWTH_KIB, `${end[i]! - then} KiB more`))
})

const PACKETS = 500_000
/** Well within a socket's buffer. */
const BURST = 100
const GROWTH_KIB = 3 * 1024
