import t from 'tap'
import { enterWorld, ip, inside } from './world.ts'
await enterWorld()

import type { Delta, Key } from '../../src/core/delta.ts'
import { nftProcess } from '../../src/kernel/nft.ts'
import { NftChannel } from '../../src/kernel/nft-channel.ts'
import { NftTarget } from '../../src/service/nftables/target.ts'
import {
  addressKey,
  frontendKey,
  hairpinKey,
  rangeKey,
  slotKey,
  sourceKey,
  type Frontend,
  type ServiceRow,
} from '../../src/service/rows.ts'

const signal = new AbortController().signal
const channel = new NftChannel()
t.teardown(() => channel.close())
const target = (): NftTarget => new NftTarget({ changes: channel, loads: nftProcess })

function full(rows: ReadonlyMap<Key, ServiceRow>): Delta<ServiceRow> {
  return { from: 0, to: { epoch: 'test', number: 1 }, put: rows, drop: new Set(), was: new Map() }
}

function change(was: ReadonlyMap<Key, ServiceRow>, now: ReadonlyMap<Key, ServiceRow>): Delta<ServiceRow> {
  const put = new Map([...now].filter(([key, row]) => was.get(key) !== row))
  const drop = new Set([...was.keys()].filter((key) => !now.has(key)))
  return { from: 1, to: { epoch: 'test', number: 2 }, put, drop, was }
}

/** One of every kind of row, both families, with and without affinity. */
function rows(endpoints: number, affinity = 0): Map<Key, ServiceRow> {
  const all = new Map<Key, ServiceRow>()
  for (const [vip, net] of [
    ['10.96.0.1', '10.244.1.'],
    ['fd00:10:96::1', 'fd00:10:244:1::'],
  ] as const) {
    for (const [scope, port] of [
      ['cluster', 80],
      ['external', 443],
    ] as const) {
      const at = { ip: vip, protocol: 'tcp', port } as const
      const local = scope === 'external' ? 1 : null
      const frontend: Frontend = {
        kind: 'frontend',
        ...at,
        scope,
        slots: endpoints,
        local,
        mainEmpty: 'reject',
        localEmpty: 'drop',
        affinity,
        pool: 0x1234567,
        filtered: scope === 'external',
        service: 'default/web:http',
      }
      all.set(frontendKey(at), frontend)
      for (let slot = 0; slot < endpoints; slot++)
        all.set(slotKey(at, 'main', slot), {
          kind: 'slot',
          at,
          set: 'main',
          slot,
          ip: `${net}${slot + 2}`,
          port: 8080,
          id: affinity ? slot + 7 : 0,
        })
      if (local)
        all.set(slotKey(at, 'local', 0), {
          kind: 'slot',
          at,
          set: 'local',
          slot: 0,
          ip: `${net}2`,
          port: 8080,
          id: affinity ? 7 : 0,
        })
    }
    all.set(addressKey(vip), { kind: 'address', ip: vip })
    all.set(hairpinKey(`${net}2`), { kind: 'hairpin', ip: `${net}2` })
  }
  const external = { ip: '10.96.0.1', protocol: 'tcp', port: 443 } as const
  for (const cidr of ['10.0.0.0/8', '192.168.1.1/32'])
    all.set(sourceKey(external, cidr), { kind: 'source', at: external, cidr })
  for (const cidr of ['10.244.1.0/24', 'fd00:10:244:1::/64'])
    all.set(rangeKey('pods', cidr), { kind: 'range', set: 'pods', cidr })
  for (const cidr of ['10.96.0.0/16', 'fd00:10:96::/112'])
    all.set(rangeKey('services', cidr), { kind: 'range', set: 'services', cidr })
  return all
}

t.test('a full load is what an audit finds, and a change keeps it so', async (t) => {
  for (const affinity of [0, 60]) {
    const nft = target()
    t.same(await nft.apply(full(rows(3, affinity)), signal), [], 'nothing is refused')
    t.same(await nft.audit(signal), { clean: true })
    for (const [from, to] of [
      [3, 2],
      [2, 5],
      [5, 0],
      [0, 3],
    ] as const) {
      t.same(
        await nft.apply(change(rows(from, affinity), rows(to, affinity)), signal),
        [],
        `${from} to ${to} endpoints`,
      )
      t.same(await nft.audit(signal), { clean: true }, `audit after ${from} to ${to}`)
    }
    t.same(await nft.apply(change(rows(3, affinity), new Map()), signal), [])
    t.same(await nft.audit(signal), { clean: true }, 'all rows gone')
    await nft.cleanup()
    await nft.cleanup()
  }
})

t.test('an audit sees what somebody else did', async (t) => {
  const nft = target()
  const cases = [
    [
      'delete element inet fairlead_service slots_tcp4_a { 10.96.0.1 . 80 . 1 }',
      /slots_tcp4_a has 3 elements instead of 4/,
    ],
    ['add element inet fairlead_service addresses4_a { 10.96.0.9 }', /addresses4_a has 2 elements instead of 1/],
    ['flush chain inet fairlead_service prerouting', /prerouting does not lead/],
    ['delete table inet fairlead_service', /is gone/],
    ['flush ruleset', /is gone/],
  ] as const
  for (const [text, detail] of cases) {
    await nft.cleanup()
    t.same(await nft.apply(full(rows(2)), signal), [])
    t.equal((await nftProcess.run(text)).kind, 'committed', text)
    const drift = await nft.audit(signal)
    t.match(drift, { clean: false, detail }, text)
    t.same(await nft.apply(full(rows(2)), signal), [], 'a full load repairs it')
    t.same(await nft.audit(signal), { clean: true })
  }
  await nft.cleanup()
})

for (const affinity of [0, 60])
  t.test(
    `a new process adopts what it finds, and leaves nothing of the old generation: affinity ${affinity}`,
    async (t) => {
      t.same(await target().apply(full(rows(2, affinity)), signal), [])
      const second = target()
      t.same(await second.apply(full(rows(4, affinity)), signal), [])
      t.same(await second.audit(signal), { clean: true })
      const listing = await inside2('nft', 'list', 'table', 'inet', 'fairlead_service')
      t.notMatch(listing, /_a\b|_a_/, 'no name of generation a is left')
      t.same(await target().apply(full(rows(1, affinity)), signal), [])
      t.same(await target().apply(full(rows(2, affinity)), signal), [])
      await second.cleanup()
    },
  )

t.test('a load larger than the kernel takes at once: also without real root', async (t) => {
  const nft = target()
  const many = new Map<Key, ServiceRow>()
  for (let i = 0; i < 30_000; i++) {
    const address = `10.${96 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`
    many.set(addressKey(address), { kind: 'address', ip: address })
  }
  t.same(await nft.apply(full(many), signal), [])
  t.same(await nft.audit(signal), { clean: true })
  const fewer = new Map([...many].slice(0, 10))
  const step = change(many, fewer)
  // Too much for one transaction is no reason to do half of it: it says so, and a full load follows.
  const refused = await nft.apply(step, signal).catch((error: Error) => error.message)
  if (typeof refused === 'string') {
    t.match(refused, /full load follows/)
    t.same(await nft.apply(full(fewer), signal), [])
  } else t.same(refused, [])
  t.same(await nft.audit(signal), { clean: true })
  await nft.cleanup()
})

t.test('a poison row harms itself only', async (t) => {
  const nft = target()
  const poisoned = rows(3)
  poisoned.set('x', { kind: 'address', ip: 'not-an-address' })
  const refused = await nft.apply(full(poisoned), signal)
  t.same(
    refused.map((row) => row.key),
    ['x'],
  )
  t.same(await nft.audit(signal), { clean: true }, 'the other rows are there')
  const next = rows(4)
  next.set('y', { kind: 'address', ip: '10.96.0.300' })
  const changed = await nft.apply(change(rows(3), next), signal)
  t.same(
    changed.map((row) => row.key),
    ['y'],
  )
  const mended = new Map(next)
  mended.set('y', { kind: 'address', ip: '10.96.0.30' })
  next.delete('y') // nobody holds a refused row
  t.same(await nft.apply(change(next, mended), signal), [], 'tried again when its row changes')
  t.same(await nft.audit(signal), { clean: true })
  await nft.cleanup()
})

async function inside2(...command: [string, ...string[]]): Promise<string> {
  await ip('link set lo up')
  const { exec } = await import('../../src/kernel/exec.ts')
  const result = await exec(command)
  return result.kind === 'done' ? result.stdout : ''
}
void inside
