/** The iptables target by itself, in both variants: loads, changes, audits, guests in our chains, rows that are refused, tools that are missing. */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { enterWorld, inside } from './world.ts'
await enterWorld()

import type { Delta, Key } from '../../src/core/delta.ts'
import { findVariant, type Variant } from '../../src/kernel/iptables.ts'
import { hostVariant, IptablesTarget } from '../../src/service/iptables/target.ts'
import {
  addressKey,
  frontendKey,
  hairpinKey,
  rangeKey,
  slotKey,
  sourceKey,
  type Frontend,
  type FrontendAddress,
  type ServiceRow,
} from '../../src/service/rows.ts'

type Rows = Map<Key, ServiceRow>
const WEB = { ip: '10.96.0.1', protocol: 'tcp', port: 80 } as const
const LB = { ip: '10.96.0.1', protocol: 'tcp', port: 443 } as const
const SIGNAL = new AbortController().signal
t.jobs = 1
t.setTimeout(570_000)

for (const variant of ['legacy', 'nft'] as const) {
  const save = (family: 4 | 6 = 4): Promise<string> => inside('n1', `${family === 4 ? 'iptables' : 'ip6tables'}-${variant}-save`) // prettier-ignore
  const make = (): IptablesTarget => new IptablesTarget({ variant })

  t.test(`${variant}: a full load is what an audit finds, and a change keeps it so`, async (t) => {
    for (const affinity of [0, 60]) {
      const target = make()
      t.same(await target.apply(full(rows(3, affinity)), SIGNAL), [])
      t.same(await target.audit(SIGNAL), { clean: true })
      for (const [from, to] of [
        [3, 2],
        [2, 5],
        [5, 0],
        [0, 40],
        [40, 3],
      ] as const) {
        // prettier-ignore
        t.same(await target.apply(change(rows(from, affinity), rows(to, affinity)), SIGNAL), [], `${from} to ${to}`)
        t.same(await target.audit(SIGNAL), { clean: true }, `audit after ${from} to ${to}`)
      }
      t.same(await make().apply(full(rows(2, affinity)), SIGNAL), [], 'another agent adopts it')
      t.equal((await target.audit(SIGNAL)).clean, false)
      const last = make()
      t.same(await last.apply(full(rows(3, affinity)), SIGNAL), [])
      t.same(await last.apply(change(rows(3, affinity), new Map()), SIGNAL), [])
      t.same(await last.audit(SIGNAL), { clean: true }, 'all rows gone')
      for (let i = 0; i < 2; i++) await last.cleanup()
      for (const family of [4, 6] as const) t.notMatch(await save(family), /FAIRLEAD/)
      t.equal(await inside('n1', 'ipset', 'list', '-n'), '')
    }
  })

  t.test(`${variant}: an audit finds what somebody did, and a full load ends it`, async (t) => {
    const target = make()
    const all = rows(3, 60)
    t.same(await target.apply(full(all), SIGNAL), [])
    const iptables = `iptables-${variant}`
    const deeds: [string, ...string[]][] = [
      [iptables, '-t', 'nat', '-F'],
      [iptables, '-t', 'nat', '-F', 'FAIRLEAD-DROP'],
      [iptables, '-t', 'nat', '-D', 'OUTPUT', '-j', 'FAIRLEAD-SERVICES'],
      [iptables, '-t', 'nat', '-A', 'PREROUTING', '-j', 'FAIRLEAD-SERVICES'],
      [iptables, '-t', 'nat', '-A', 'FAIRLEAD-SERVICES', '-j', 'RETURN'],
      [iptables, '-t', 'nat', '-R', 'FAIRLEAD-DROP', '1', '-j', 'RETURN'],
      [iptables, '-t', 'nat', '-N', 'FAIRLEAD-GUEST'],
      [iptables, '-F', 'FAIRLEAD-FILTER'],
      [iptables, '-D', 'FORWARD', '1'],
      [`ip6tables-${variant}`, '-t', 'nat', '-F', 'FAIRLEAD-POSTROUTING'],
    ]
    for (const deed of deeds) {
      await inside('n1', ...deed)
      const drift = await target.audit(SIGNAL)
      t.equal(drift.clean, false, `${deed.join(' ')}: ${drift.clean ? '' : drift.detail}`)
      t.same(await target.apply(full(all), SIGNAL), [])
      t.same(await target.audit(SIGNAL), { clean: true }, 'and repaired')
    }
    await inside('n1', iptables, '-t', 'nat', '-N', 'GUEST')
    await inside('n1', iptables, '-t', 'nat', '-A', 'GUEST', '-j', 'FAIRLEAD-HAIRPINS')
    await inside('n1', iptables, '-t', 'nat', '-A', 'GUEST', '-j', 'RETURN')
    t.same(await target.apply(full(new Map()), SIGNAL), [], 'a rule of somebody else’s that holds on to our chains')
    t.match(await save(), /-A GUEST -j RETURN/, 'whose others are left alone')
    await target.cleanup()
    t.match(await save(), /-A GUEST -j RETURN/)
    for (const what of ['-F', '-X']) await inside('n1', iptables, '-t', 'nat', what, 'GUEST')
  })

  t.test(`${variant}: refused rows harm themselves only, in a full load and in a change`, async (t) => {
    const poison: Rows = new Map([
      [slotKey(WEB, 'main', 1), { kind: 'slot', at: WEB, set: 'main', slot: 1, ip: 'fd00::1', port: 8080, id: 0 }],
      [sourceKey(LB, '10.0.0.0/99'), { kind: 'source', at: LB, cidr: '10.0.0.0/99' }],
      [rangeKey('services', '1.2.3.4/99'), { kind: 'range', set: 'services', cidr: '1.2.3.4/99' }],
      ['x', { kind: 'address', ip: '10.96.0.300' }],
    ])
    const poisoned = new Map([...rows(3), ...poison])
    const held = new Map([...poisoned].filter(([key]) => !poison.has(key)))
    const target = make()
    const keys = (refused: Awaited<ReturnType<typeof target.apply>>): string[] => refused.map(({ key }) => key).sort()
    t.same(keys(await target.apply(full(poisoned), SIGNAL)), [...poison.keys()].sort(), 'in a full load')
    t.same(await target.audit(SIGNAL), { clean: true })
    t.match(await save(), /--to-destination 10\.244\.1\.4:8080/, 'the other endpoints of the frontend are served')
    t.same(await target.apply(change(held, rows(5)), SIGNAL), [], 'nobody holds a refused row')
    t.same(await target.audit(SIGNAL), { clean: true })
    const refused = await target.apply(change(rows(5), poisoned), SIGNAL)
    t.same(keys(refused), [...poison.keys()].sort(), 'in a change')
    t.ok(
      refused.every(({ reason, remedy }) => reason !== '' && remedy !== ''),
      JSON.stringify(refused),
    )
    t.same(await target.audit(SIGNAL), { clean: true })
    await target.cleanup()
  })

  t.test(`${variant}: without ipset, session affinity is what is refused, with a remedy`, async (t) => {
    const [PATH, folder] = [process.env['PATH'], mkdtempSync(join(tmpdir(), 'fairlead-ipt-'))]
    for (const family of ['iptables', 'ip6tables'])
      for (const what of ['save', 'restore']) {
        const name = `${family}-${variant}-${what}`
        symlinkSync(`/usr/sbin/${name}`, join(folder, name))
      }
    const other: FrontendAddress = { ip: '10.96.0.2', protocol: 'tcp', port: 80 }
    const mixed = new Map([...rows(3, 60), ...service(other, { slots: 1 }), ...slots(other, 'main', 1, '10.244.7.', 0)])
    const target = make()
    process.env['PATH'] = folder
    const refused = await target.apply(full(mixed), SIGNAL).finally(() => {
      process.env['PATH'] = PATH
      rmSync(folder, { recursive: true })
    })
    t.ok(refused.length > 0)
    t.ok(
      refused.every(({ key }) => /^[fsl] (10\.96\.0\.1|fd00:10:96::1) /.test(key)),
      JSON.stringify(refused),
    )
    t.match(refused[0]!.remedy, /session affinity needs ipset: .*apt-get install ipset/)
    t.match(await save(), /--to-destination 10\.244\.7\.2:8080/)
    t.same(await target.audit(SIGNAL), { clean: true })
    t.same(await target.apply(full(mixed), SIGNAL), [], 'once it is there')
    await target.cleanup()
  })
}

t.test('the variant: that of kubelet’s hint, else of more rules, else nft; none: said with the package', async (t) => {
  const found = async (): Promise<Variant> => {
    const result = await findVariant('FAIRLEAD-')
    if (result.kind === 'none') throw new Error(result.reason)
    return result.variant
  }
  const mangle = (variant: Variant, ...words: string[]): Promise<string> =>
    inside('n1', `iptables-${variant}`, '-t', 'mangle', ...words)
  t.equal(await found(), 'nft')
  await mangle('legacy', '-A', 'PREROUTING', '-j', 'ACCEPT')
  t.equal(await found(), 'legacy')
  await mangle('nft', '-A', 'PREROUTING', '-j', 'ACCEPT')
  t.equal(await found(), 'nft')
  await mangle('legacy', '-N', 'KUBE-IPTABLES-HINT')
  t.equal(await found(), 'legacy')
  await mangle('nft', '-N', 'KUBE-KUBELET-CANARY')
  await mangle('legacy', '-X', 'KUBE-IPTABLES-HINT')
  for (let i = 0; i < 3; i++) await mangle('legacy', '-A', 'PREROUTING', '-j', 'ACCEPT')
  t.equal(await found(), 'nft')
  const PATH = process.env['PATH']
  process.env['PATH'] = '/nowhere'
  await t.rejects(hostVariant(), /neither variant of iptables works here: .*apt-get install iptables/)
  process.env['PATH'] = PATH
})

function full(all: Rows): Delta<ServiceRow> {
  return { from: 0, to: { epoch: 'test', number: 1 }, put: all, drop: new Set(), was: new Map() }
}

function change(was: Rows, now: Rows): Delta<ServiceRow> {
  const put = new Map([...now].filter(([key, row]) => JSON.stringify(was.get(key)) !== JSON.stringify(row)))
  const drop = new Set([...was.keys()].filter((key) => !now.has(key)))
  const held = new Map([...was].filter(([key]) => put.has(key) || drop.has(key)))
  return { from: 1, to: { epoch: 'test', number: 2 }, put, drop, was: held }
}

function service(at: FrontendAddress, more: Partial<Frontend>): Rows {
  const row: Frontend = {
    ...{ kind: 'frontend', ...at, scope: 'cluster', slots: 0, local: null, mainEmpty: 'reject', localEmpty: 'drop' },
    ...{ affinity: 0, pool: at.ip.includes(':') ? 6 : 4, filtered: false, service: 'default/web:http', ...more },
  }
  return new Map([[frontendKey(at), row]])
}

function slots(at: FrontendAddress, set: 'main' | 'local', count: number, net: string, affinity: number): Rows {
  const numbers = Array.from({ length: count }, (_, slot) => slot)
  return new Map(
    numbers.map((slot) => [
      slotKey(at, set, slot),
      { kind: 'slot', at, set, slot, ip: `${net}${slot + 2}`, port: 8080, id: affinity ? slot + 7 : 0 },
    ]),
  )
}

/** One of every kind of row, both families. */
function rows(endpoints: number, affinity = 0): Rows {
  const all: Rows = new Map()
  const add = (more: Rows): void => more.forEach((row, key) => all.set(key, row))
  for (const [vip, net] of [
    ['10.96.0.1', '10.244.1.'],
    ['fd00:10:96::1', 'fd00:10:244:1::'],
  ] as const) {
    // prettier-ignore
    const [web, lb] = [{ ...WEB, ip: vip }, { ...LB, ip: vip }]
    add(service(web, { slots: endpoints, affinity }))
    add(slots(web, 'main', endpoints, net, affinity))
    add(service(lb, { scope: 'external', slots: endpoints, local: 1, filtered: true, affinity }))
    add(slots(lb, 'main', endpoints, net, affinity))
    add(slots(lb, 'local', 1, net, affinity))
    all.set(addressKey(vip), { kind: 'address', ip: vip })
    all.set(hairpinKey(`${net}2`), { kind: 'hairpin', ip: `${net}2` })
  }
  for (const cidr of ['10.0.0.0/8', '192.168.1.1/32']) all.set(sourceKey(LB, cidr), { kind: 'source', at: LB, cidr })
  const ranges = [['pods', '10.244.1.0/24'], ['pods', 'fd00:10:244:1::/64'], ['services', '10.96.0.0/16'], ['services', 'fd00:10:96::/112']] as const // prettier-ignore
  for (const [set, cidr] of ranges) all.set(rangeKey(set, cidr), { kind: 'range', set, cidr })
  return all
}
