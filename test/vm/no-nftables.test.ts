/** A kernel without nf_tables, which is what --mode iptables is for: rules of every room stand and work, and leaving nothing in nftables is no error. */
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { enterMachine } from './machine.ts'
enterMachine()
writeFileSync('/etc/modprobe.d/no-nftables.conf', 'install nf_tables /bin/false\n')
import { enterWorld } from '../netns/world.ts'
await enterWorld()

import { cleanUp } from '../../src/cli/agent-mode.ts'
import { removeRules } from '../../src/cli/agent-rules.ts'
import type { Delta, Target } from '../../src/core/delta.ts'
import { IptablesMasqueradeTarget } from '../../src/egress/iptables/masquerade.ts'
import { MasqueradeTarget } from '../../src/egress/nftables/target.ts'
import { keyOf, type EgressRow } from '../../src/egress/rows.ts'
import { exec } from '../../src/kernel/exec.ts'
import { probeFeatures } from '../../src/kernel/features.ts'
import { hasNftables, nftProcess } from '../../src/kernel/nft.ts'
import { IptablesGuardTarget } from '../../src/overlay/iptables/guard.ts'
import { GuardTarget } from '../../src/overlay/nftables/target.ts'
import type { GuardRow } from '../../src/overlay/rows.ts'
import { hostVariant, IptablesTarget } from '../../src/service/iptables/target.ts'
import { endpoint, service, slice } from '../contract/service-objects.ts'
import { OUTSIDE, POD } from '../contract/service-room.ts'
import { Room } from '../contract/service-room.ts'
import { Hosts } from '../netns/hosts.ts'
import { NODES } from '../netns/topology.ts'

const [IP, ELSEWHERE] = ['10.96.0.10', '10.244.2.10']
const SIGNAL = new AbortController().signal
const hosts = new Hosts()
t.setTimeout(600_000)
t.jobs = 1
t.teardown(() => hosts.close())

t.test('the kernel has no nf_tables, and that is said where it matters only', async (t) => {
  t.notOk(await hasNftables())
  t.match(await probeFeatures('nftables'), [{ name: 'nftables', present: false, remedy: /--mode iptables/ }])
  const features = await probeFeatures('iptables')
  t.notOk(features.some(({ name }) => name === 'nftables'))
  t.match(features, [
    { name: 'iptables', present: true },
    { name: 'ipset', present: true },
  ])
  t.equal(await hostVariant(), 'legacy')
})

t.test('nothing is left in nftables: no error', async () => {
  await new MasqueradeTarget(nftProcess).cleanup()
  await new GuardTarget(nftProcess, 0).cleanup()
})

t.test('Services, masquerading and the guard', async (t) => {
  await hosts.build([POD, OUTSIDE, ELSEWHERE], [IP])
  await hosts.listen([`${ELSEWHERE}:8080`, `${OUTSIDE}:8080`])
  const room = new Room().put(service('web', [IP]), slice('web-1', 'web', [endpoint(ELSEWHERE)]))
  const egress: readonly EgressRow[] = [
    { kind: 'source', cidr: '10.244.1.0/24' },
    { kind: 'kept', cidr: '10.244.0.0/16' },
    { kind: 'source', cidr: 'fd00:10:244:1::/64' },
    { kind: 'kept', cidr: 'fd00:10:244::/48' },
  ]
  const guard: readonly GuardRow[] = [
    { kind: 'vtep', ip: NODES.n2 },
    { kind: 'uplink', name: 'eth0' },
  ]
  const targets: readonly (readonly [Target<any>, ReadonlyMap<string, unknown>])[] = [
    [new IptablesTarget(), room.rows()],
    [new IptablesMasqueradeTarget({ variant: 'legacy' }), new Map(egress.map((row) => [keyOf(row), row]))],
    [new IptablesGuardTarget(8472, { variant: 'legacy' }), new Map(guard.map((row, i) => [String(i), row]))],
  ]
  for (const [target, rows] of targets) {
    t.same(await target.apply(full(rows), SIGNAL), [], target.name)
    t.same(await target.audit(SIGNAL), { clean: true }, target.name)
  }
  for (const [to, port, saw] of [
    [IP, 80, POD],
    [ELSEWHERE, 8080, POD],
    [OUTSIDE, 8080, NODES.n1],
  ] as const) {
    const answer = await hosts.peer(POD).send({ protocol: 'tcp', from: POD, to, port, waitMs: 60_000 })
    t.match(answer, { kind: 'answered', seen: saw }, `${POD} -> ${to}`)
  }
})

t.test('--cleanup leaves nothing', async (t) => {
  await cleanUp()
  await removeRules()
  for (const tool of ['iptables', 'ip6tables']) {
    const saved = await exec([`${tool}-legacy-save`])
    t.ok(saved.kind === 'done' && !saved.stdout.includes('FAIRLEAD'), JSON.stringify(saved))
  }
  t.match(await exec(['ipset', 'list', '-n']), { kind: 'done', stdout: '' })
})

function full(put: ReadonlyMap<string, unknown>): Delta<any> {
  return { from: 0, to: { epoch: 'test', number: 1 }, put, drop: new Set(), was: new Map() }
}
