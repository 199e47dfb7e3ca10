/** The iptables target in its nft variant with more than fits into its socket, as who may not enlarge that: in a user namespace. */
import { spawnSync } from 'node:child_process'
import t from 'tap'
import { enterWorld, inside } from './world.ts'

if (process.env['FAIRLEAD_UNPRIVILEGED'] !== '1') {
  await enterWorld()
  // Whoever runs this test: the first user namespace is another one.
  const again = ['--user', '--map-root-user', '--net', process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  const { status } = spawnSync('unshare', again, {
    stdio: 'inherit',
    env: { ...process.env, FAIRLEAD_UNPRIVILEGED: '1' },
  })
  process.exit(status ?? 1)
}

import type { Delta, Key } from '../../src/core/delta.ts'
import { restore } from '../../src/kernel/iptables.ts'
import { IptablesTarget } from '../../src/service/iptables/target.ts'
import { frontendKey, slotKey, type ServiceRow } from '../../src/service/rows.ts'

type Rows = Map<Key, ServiceRow>
const SERVICES = Number(process.env['SERVICES'] ?? 400)
const SIGNAL = new AbortController().signal
t.jobs = 1
t.setTimeout(570_000)

t.test('a text that the socket does not take is refused as a whole', async (t) => {
  const rules = Array.from({ length: 2000 }, (_, i) => `-A MANY -d 10.0.0.1/32 -p tcp -m tcp --dport ${i} -j RETURN`)
  const result = await restore('nft', 4, ['*nat', ':MANY - [0:0]', ...rules, 'COMMIT\n'].join('\n'))
  t.match(result, { kind: 'failed', reason: /Message too long/ })
})

t.test('a full load, changes of most of it, another full load, and the end', async (t) => {
  const target = new IptablesTarget({ variant: 'nft' })
  const startMs = performance.now()
  t.same(await target.apply(full(services(0, SERVICES)), SIGNAL), [])
  t.comment(`${SERVICES} services: ${(performance.now() - startMs).toFixed(0)} ms`)
  t.same(await target.audit(SIGNAL), { clean: true })
  let was = services(0, SERVICES)
  for (const now of [
    services(SERVICES - 20, SERVICES),
    services(0, SERVICES),
    services(SERVICES / 2, SERVICES * 1.5),
  ]) {
    t.same(await target.apply(change(was, now), SIGNAL), [])
    t.same(await target.audit(SIGNAL), { clean: true })
    was = now
  }
  const next = new IptablesTarget({ variant: 'nft' })
  t.same(await next.apply(full(services(0, SERVICES)), SIGNAL), [])
  t.same(await next.audit(SIGNAL), { clean: true })
  for (const _ of [1, 2]) {
    await next.cleanup()
    t.notMatch(await inside('n1', 'iptables-nft-save'), /FAIRLEAD/)
  }
})

function services(from: number, to: number): Rows {
  const rows: Rows = new Map()
  for (let i = from; i < to; i++) {
    const at = { ip: `10.96.${i >> 8}.${i & 255}`, protocol: 'tcp', port: 80 } as const
    rows.set(frontendKey(at), {
      ...{ kind: 'frontend', ...at, scope: 'cluster', slots: 2, local: null, mainEmpty: 'reject', localEmpty: 'drop' },
      ...{ affinity: 0, pool: 4, filtered: false, service: `default/web-${i}:http` },
    })
    for (const slot of [0, 1])
      rows.set(slotKey(at, 'main', slot), {
        ...{ kind: 'slot', at, set: 'main', slot, ip: `10.244.${i >> 7}.${2 * (i & 127) + slot}`, port: 8080, id: 0 },
      })
  }
  return rows
}

function full(rows: Rows): Delta<ServiceRow> {
  return { from: 0, to: { epoch: 'test', number: 1 }, put: rows, drop: new Set(), was: new Map() }
}

function change(was: Rows, now: Rows): Delta<ServiceRow> {
  const put = new Map([...now].filter(([key]) => !was.has(key)))
  const drop = new Set([...was.keys()].filter((key) => !now.has(key)))
  return { from: 1, to: { epoch: 'test', number: 2 }, put, drop, was: new Map([...was].filter(([key]) => drop.has(key))) } // prettier-ignore
}
