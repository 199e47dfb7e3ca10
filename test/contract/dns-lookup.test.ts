/** `/dns/query` against a real carrier: its answer, and what gave it. */
import t from 'tap'
import { countFor, page, type Counted } from '../../src/cli/dns-top.ts'
import { lookUp, type Lookup } from '../../src/cli/dns-lookup.ts'
import { systemClock } from '../../src/core/clock.ts'
import { entry, host, makeWorld, server, type World } from './carrier-process.ts'
import { ask as askUdp } from './dns-client.ts'

t.test('what the carrier answers, and what gave it', async (t) => {
  const world = await makeWorld(t)
  const { names, servers, controller } = world
  const [key, row] = entry('web', '10.0.0.1')
  names.put(key, { ...row, object: 'Service ns1/web' })
  const alias = { set: 'k0', name: host('db'), records: [{ type: 'CNAME' as const, target: 'db.example.org.' }] }
  names.put(`k0 ${host('db')}`, { ...alias, object: 'Service ns1/db' })
  names.markSynced()
  await controller.settled()
  const web = await get(world, { name: host('web') })
  t.match(web, { code: 'NOERROR', flags: ['aa', 'rd'], why: null, block: `dns://127.0.0.1:${world.port} .` })
  t.match(web.answer, [{ name: host('web'), ttl: 30, type: 'A', data: '10.0.0.1' }])
  t.match(web.by, [{ plugin: 'kubernetes', object: 'Service ns1/web' }])
  t.match(await get(world, { name: host('web'), type: 'aaaa' }), {
    ...{ code: 'NOERROR', type: 'AAAA', answer: [], authority: [{ type: 'SOA' }] },
    why: 'Service ns1/web has no record of type AAAA',
  })
  t.match(await get(world, { name: host('nobody') }), {
    code: 'NXDOMAIN',
    by: [{ plugin: 'kubernetes', object: null }],
  })
  t.match(await get(world, { name: host('db') }), {
    ...{ code: 'SERVFAIL', why: 'no plugin of the server block answers such names' },
    by: [
      { plugin: 'kubernetes', object: 'Service ns1/db' },
      { name: 'db.example.org.', plugin: null },
    ],
  })

  const { steps, ...block } = server(world.port)
  const rule = { zones: ['.'], policies: [{ action: 'drop' as const, types: [], networks: ['10.9.0.0/16'] }] }
  servers.put('0', { ...block, zones: ['cluster.local.'], steps: [{ plugin: 'acl', rules: [rule] }, ...steps] })
  await controller.settled()
  t.match(await get(world, { name: host('web'), from: '10.9.1.1' }), { code: 'DROPPED', why: /^acl of the Corefile/ })
  t.match(await get(world, { name: host('web'), from: '10.8.1.1' }), { code: 'NOERROR' })
  t.match(await get(world, { name: 'example.org' }), {
    ...{ code: 'REFUSED', block: null, why: 'no server block of the Corefile is for example.org.' },
  })
  t.equal((await ask(world, { name: 'a..b' })).status, 400)
  t.equal((await ask(world, { name: 'a', type: 'NONE' })).status, 400)
  await controller.end()
  t.match(await ask(world, { name: 'a' }), { status: 503, body: /the carrier does not answer/ })
})

t.test('who asks most', async (t) => {
  const world = await makeWorld(t)
  world.names.put(...entry('web', '10.0.0.1'))
  world.names.markSynced()
  await world.controller.settled()
  // So long as it takes to ask ten times.
  const after = async (): Promise<void> => {
    for (let asked = 0; asked < 10; asked++) await askUdp(world.port, host('web'))
  }
  const query = new URLSearchParams('seconds=25')
  const { status, body } = await countFor(query, world.controller.connection, null, { ...systemClock, after })
  t.equal(status, 200, body)
  const counted = JSON.parse(body) as Counted
  t.match(counted, {
    codes: [['NOERROR', counted.queries]],
    names: [[host('web'), counted.queries]],
    missed: { names: 0 },
  })
  t.match(counted.clients, [['127.0.0.1', counted.queries]])
  t.ok(counted.queries >= 10, `${counted.queries}`)
  const twice = {
    ...counted,
    queries: 4,
    clients: [
      ['a', 3],
      ['b', 1],
    ],
  } as const
  t.match(page([twice, twice], 'clients'), /^8 queries in .*\nQUERIES +SHARE +CLIENT\n6 +75\.0 % +a\n2 +25\.0 % +b\n$/)
})

const ask = ({ controller }: World, query: Record<string, string>) =>
  lookUp(new URLSearchParams(query), controller.connection, null, 60_000)

async function get(world: World, query: Record<string, string>): Promise<Lookup> {
  const { status, body } = await ask(world, query)
  if (status !== 200) throw new Error(body)
  return JSON.parse(body) as Lookup
}
