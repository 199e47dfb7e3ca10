/** What goes wrong around a target: two agents at once, guests in our table, rows the kernel refuses half-way, chains that pile up. */
import t from 'tap'
import { enterWorld, inside } from './world.ts'
await enterWorld()

import type { Delta, Key } from '../../src/core/delta.ts'
import { nftProcess, type Nft } from '../../src/kernel/nft.ts'
import { NftChannel } from '../../src/kernel/nft-channel.ts'
import { RulesetMonitor } from '../../src/kernel/monitor.ts'
import { NftTarget } from '../../src/service/nftables/target.ts'
import { addressKey, frontendKey, rangeKey, slotKey, sourceKey, type ServiceRow } from '../../src/service/rows.ts'
import { until } from './waiting.ts'

const signal = new AbortController().signal
const channel = new NftChannel()
t.jobs = 1
t.teardown(() => channel.close())
t.afterEach(async () => void (await nftProcess.run('flush ruleset')))

const target = (loads: Nft = nftProcess): NftTarget => new NftTarget({ changes: channel, loads })
const at = (port: number) => ({ ip: '10.96.0.1', protocol: 'tcp', port }) as const
const full = (put: ReadonlyMap<Key, ServiceRow>): Delta<ServiceRow> => ({
  ...{ from: 0, to: { epoch: 'test', number: 1 } },
  ...{ put, drop: new Set<Key>(), was: new Map() },
})
function change(was: ReadonlyMap<Key, ServiceRow>, now: ReadonlyMap<Key, ServiceRow>): Delta<ServiceRow> {
  const put = new Map([...now].filter(([key, row]) => was.get(key) !== row))
  const drop = new Set([...was.keys()].filter((key) => !now.has(key)))
  return { from: 1, to: { epoch: 'test', number: 2 }, put, drop, was }
}

/** A frontend on port 80 with the given endpoints (last numbers of addresses), in this order. */
function rows(hosts: readonly number[], affinity = 0, port = 80): Map<Key, ServiceRow> {
  const all = new Map<Key, ServiceRow>()
  all.set(frontendKey(at(port)), {
    ...{ kind: 'frontend', ...at(port), scope: 'cluster', slots: hosts.length, local: null, mainEmpty: 'reject' },
    ...{ localEmpty: 'reject', affinity, pool: 77, filtered: false, service: 'shop/web' },
  } as ServiceRow)
  for (const [slot, host] of hosts.entries()) {
    const row = { kind: 'slot', at: at(port), set: 'main', slot, ip: `10.244.1.${host}`, port: 8080 } as const
    all.set(slotKey(at(port), 'main', slot), { ...row, id: affinity === 0 ? 0 : host })
  }
  all.set(addressKey('10.96.0.1'), { kind: 'address', ip: '10.96.0.1' })
  return all
}

/** An nft that lets somebody act after the nth transaction. */
const interrupted = (after: number, act: () => Promise<unknown>): Nft => {
  let count = 0
  return {
    run: async (text, signal) => {
      const result = await nftProcess.run(text, signal)
      if (++count === after) await act()
      return result
    },
    close() {},
  }
}

t.test('two agents load at once: one of them is told, what is in use is whole at every moment', async (t) => {
  const [mine, theirs] = [rows([2, 3]), rows([2, 3, 4])]
  t.same(await target().apply(full(mine), signal), [])
  for (let after = 1; after <= 6; after++) {
    const other = target()
    let told = ''
    const loads = interrupted(after, () => other.apply(full(theirs), signal).catch((error: Error) => (told += error)))
    const own = target(loads)
    await own.apply(full(mine), signal).catch((error: Error) => (told += error.message))
    const [ours, others] = [await own.audit(signal), await other.audit(signal)]
    t.equal(Number(ours.clean) + Number(others.clean), 1, `after ${after}: exactly one of them stands, whole (${told})`)
    t.same(await own.apply(full(mine), signal), [], 'and a full load brings either back')
    t.same(await own.audit(signal), { clean: true })
    t.match(await other.audit(signal), { clean: false }, 'the other is told')
    const late = other.apply(change(theirs, rows([2])), signal)
    await t.rejects(late, /full load/, 'and changes nothing of what is in use')
    t.same(await own.audit(signal), { clean: true })
  }
})

// The fifth transaction puts it to use.
t.test('a generation that another agent has begun to fill is not put to use', async (t) => {
  const first = target()
  for (let after = 1; after <= 4; after++) {
    t.same(await first.apply(full(rows([2, 3])), signal), [])
    let done = 0
    const halting: Nft = {
      run: (text) => (++done > 3 ? Promise.resolve({ kind: 'failed', reason: 'killed' }) : nftProcess.run(text)),
      close() {},
    }
    const half = (): Promise<unknown> => target(halting).apply(full(rows([4])), signal).catch(() => {}) // prettier-ignore
    const own = target(interrupted(after, half))
    const applied = await own.apply(full(rows([2, 3, 4])), signal).catch((error: Error) => error.message)
    const stands = typeof applied === 'string' ? first : own
    t.same(await stands.audit(signal), { clean: true }, `after ${after}: ${JSON.stringify(applied)}`)
  }
})

t.test('a change of an agent whose generation was replaced by one of the same name is refused', async (t) => {
  const [own, other] = [target(), target()]
  t.same(await own.apply(full(rows([2, 3])), signal), [])
  for (let i = 0; i < 2; i++) t.same(await other.apply(full(rows([2, 3])), signal), [])
  await t.rejects(own.apply(change(rows([2, 3]), rows([2, 3, 4])), signal), /full load/)
  t.same(await other.audit(signal), { clean: true })
})

t.test('rules that others put into our table go, and do not keep us from loading', async (t) => {
  const guests = [
    'add rule inet fairlead_service services4_a drop',
    'add chain inet fairlead_service guest; add rule inet fairlead_service guest jump services4_a',
    'flush chain inet fairlead_service cluster4_tcp_2_a',
    'add rule inet fairlead_service postrouting drop',
    'add rule inet fairlead_service refuse accept',
    'add chain inet fairlead_service guest; add rule inet fairlead_service prerouting jump guest',
  ]
  for (const guest of guests) {
    const nft = target()
    t.same(await nft.apply(full(rows([2, 3])), signal), [])
    t.equal((await nftProcess.run(guest)).kind, 'committed', guest)
    if (!guest.includes('guest jump')) t.match(await nft.audit(signal), { clean: false, detail: /rules instead of/ })
    for (let i = 0; i < 3; i++) {
      const loaded = await nft.apply(full(rows([2, 3])), signal).catch((error: Error) => error.message)
      if (i > 0) t.same(loaded, [], `${guest}: loads`)
    }
    t.same(await nft.audit(signal), { clean: true })
    await nft.cleanup()
    t.equal(await inside('n1', 'nft', 'list', 'tables'), '')
  }
})

t.test('a set that a former version made otherwise costs the table, not the load', async (t) => {
  const old = 'add table inet fairlead_service; add map inet fairlead_service affinity4 { type ipv4_addr : mark; }'
  t.equal((await nftProcess.run(old)).kind, 'committed')
  const nft = target()
  t.same(await nft.apply(full(rows([2])), signal), [])
  t.same(await nft.audit(signal), { clean: true })
})

t.test('an element that is not there, or is there already: a full load, not a refused row', async (t) => {
  for (const edit of ['delete', 'add'] as const) {
    const nft = target()
    t.same(await nft.apply(full(rows([2, 3])), signal), [])
    const element = edit === 'delete' ? '10.96.0.1 . 80 . 1' : '10.96.0.1 . 80 . 2 : 10.244.1.99 . 1'
    const text = `${edit} element inet fairlead_service slots_tcp4_a { ${element} }`
    t.equal((await nftProcess.run(text)).kind, 'committed')
    const to = edit === 'delete' ? rows([2]) : rows([2, 3, 4])
    await t.rejects(nft.apply(change(rows([2, 3]), to), signal), /does not hold what was loaded.*a full load follows/)
    t.same(await nft.apply(full(to), signal), [])
    t.same(await nft.audit(signal), { clean: true })
    await nft.cleanup()
  }
})

t.test('endpoints that change places beside a poison row keep their identities', async (t) => {
  for (const [before, after] of [
    [
      [2, 3, 4],
      [3, 4],
    ],
    [
      [2, 3],
      [5, 2, 3],
    ],
    [
      [2, 3, 4],
      [4, 3, 2],
    ],
  ] as const) {
    const nft = target()
    t.same(await nft.apply(full(rows(before, 60)), signal), [])
    const next = rows(after, 60)
    next.set('x', { kind: 'address', ip: '10.96.0.300' })
    const refused = await nft.apply(change(rows(before, 60), next), signal)
    t.same(
      refused.map(({ key }) => key),
      ['x'],
    )
    t.same(await nft.audit(signal), { clean: true }, `${before.join()} to ${after.join()}`)
    await nft.cleanup()
  }
})

t.test('a refused row of a frontend harms neither its other rows nor other frontends', async (t) => {
  const before = new Map([...rows([2, 3]), ...rows([2], 0, 81)])
  const source = (cidr: string): [Key, ServiceRow] => [sourceKey(at(80), cidr), { kind: 'source', at: at(80), cidr }]
  const after = new Map([...rows([2, 3, 4]), ...rows([5], 0, 81), source('10.1.0.0/16'), source('10.0.0.0/8/9')])
  const nft = target()
  t.same(await nft.apply(full(before), signal), [])
  const refused = await nft.apply(change(before, after), signal)
  t.same(
    refused.map(({ key }) => key),
    [source('10.0.0.0/8/9')[0]],
  )
  t.same(await nft.audit(signal), { clean: true })
  // The receiver holds nothing under a refused key.
  const held = new Map(after)
  held.delete(source('10.0.0.0/8/9')[0])
  t.same(await nft.apply(change(held, rows([7])), signal), [])
  t.same(await nft.audit(signal), { clean: true })
})

t.test('ranges: one more or less, next to a poison one', async (t) => {
  const range = (cidr: string): [Key, ServiceRow] => [
    rangeKey('services', cidr),
    { kind: 'range', set: 'services', cidr },
  ]
  const nft = target()
  t.same(await nft.apply(full(new Map([range('10.96.0.0/16'), range('fd00::/112')])), signal), [])
  const was = new Map([range('10.96.0.0/16'), range('fd00::/112')])
  const refused = await nft.apply(change(was, new Map([range('10.97.0.0/16'), range('1.2.3.4/99')])), signal)
  t.same(
    refused.map(({ key }) => key),
    ['r services 1.2.3.4/99'],
  )
  t.same(await nft.audit(signal), { clean: true })
  const listing = await inside('n1', 'nft', 'list', 'chain', 'inet', 'fairlead_service', 'unallocated4_a')
  t.match(listing, '10.97.0.0/16')
  t.notMatch(listing, '10.96.0.0/16')
})

t.test('chains of affinity timeouts that come and go do not pile up', { timeout: 300_000 }, async (t) => {
  const nft = target()
  let was = rows([2], 1)
  t.same(await nft.apply(full(was), signal), [])
  let loads = 0
  for (let seconds = 2; seconds <= 500; seconds++) {
    const now = rows([2], seconds)
    const answer = await nft.apply(change(was, now), signal).catch((error: Error) => error.message)
    if (Array.isArray(answer)) t.same(answer, [])
    else {
      t.match(answer, /chains have piled up: a full load follows/)
      t.same(await nft.apply(full(now), signal), [])
      loads++
    }
    was = now
  }
  const chains = (await inside('n1', 'nft', 'list', 'table', 'inet', 'fairlead_service')).match(/^\tchain /gm)!.length
  t.ok(loads > 0 && chains < 1000, `${chains} chains after 500 timeouts, ${loads} full loads`)
})

t.test('what is ours is told from what is not, also while a load takes long', async (t) => {
  const end = new AbortController()
  let foreign = 0
  const listens = Promise.withResolvers<void>()
  const monitor = new RulesetMonitor({
    signal: end.signal,
    onReady: listens.resolve,
    onForeignChange: () => foreign++,
    onGap: () => {},
  })
  await listens.promise
  await heardOf('first')
  // A transaction whose process goes on for long after the commit.
  const slow = monitor.count({
    run: async (text, signal) => {
      const result = await nftProcess.run(text, signal)
      await new Promise((resolve) => setTimeout(resolve, 300))
      return result
    },
    close() {},
  })
  const before = foreign
  t.same(await target(slow).apply(full(rows([2])), signal), [])
  t.equal(foreign, before, 'the load was ours')
  await heardOf('next')
  end.abort()

  /** Somebody makes a table: heard of once. */
  async function heardOf(name: string): Promise<void> {
    const before = foreign
    t.equal((await nftProcess.run(`add table inet ${name}`)).kind, 'committed')
    await until(`the ${name} guest is heard`, () => foreign > before)
  }
})
