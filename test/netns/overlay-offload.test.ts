/** On a kernel that sends wrong checksums by VXLAN they are computed before; with a stand-in for ethtool, which tells what it was asked. */
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { enterWorld, inside, ip } from './world.ts'
await enterWorld()

import type { Delta } from '../../src/core/delta.ts'
import { probeChecksums, RULES } from '../../src/kernel/checksum-probe.ts'
import { carrier } from '../../src/kernel/carrier.ts'
import { exec, start } from '../../src/kernel/exec.ts'
import { checksumOffload, judge } from '../../src/kernel/offload.ts'
import { NetlinkTarget } from '../../src/overlay/netlink/target.ts'
import { keyOf, type OverlayRow } from '../../src/overlay/rows.ts'
import { until } from './waiting.ts'

const signal = new AbortController().signal
const folder = mkdtempSync(join(tmpdir(), 'fairlead-offload-'))
const told = join(folder, 'told')
t.teardown(() => rmSync(folder, { recursive: true }))

const device: OverlayRow = {
  ...{ kind: 'device', name: 'flannel.1', family: 4, vni: 1, port: 8472, local: '172.30.0.11' },
  ...{ parent: 'eth0', mtu: 1450, mac: '02:00:00:00:00:01' },
}
const full = (...rows: readonly OverlayRow[]): Delta<OverlayRow> => ({
  ...{ from: 0, to: { epoch: 'test', number: 1 } },
  ...{ put: new Map(rows.map((row) => [keyOf(row), row])), drop: new Set<string>(), was: new Map() },
})

t.test('the device is made, and told to compute; where nobody can tell it, that is said', async (t) => {
  await ip('link add eth0 type veth peer name eth1', 'addr add 172.30.0.11/24 dev eth0', 'link set eth0 up')
  const old = new NetlinkTarget(() =>
    checksumOffload('5.4.0', () => Promise.resolve({ kind: 'probed', seen: 4, wrong: 1 })),
  )
  const path = process.env['PATH']
  t.match(await old.apply(full(device), signal), [{ key: 'device flannel.1', reason: /ethtool/, remedy: /install ethtool/ }]) // prettier-ignore
  t.match(
    await inside('n1', 'ip', '-d', 'link', 'show', 'flannel.1'),
    / noudpcsum /,
    'one that can be none is not wrong',
  )
  writeFileSync(join(folder, 'ethtool'), `#!/bin/sh\necho "$@" >> ${told}\n`)
  chmodSync(join(folder, 'ethtool'), 0o755)
  process.env['PATH'] = `${folder}:${path}`
  t.same(await old.apply(full(device), signal), [])
  t.equal(readFileSync(told, 'utf8'), '-K flannel.1 tx-checksum-ip-generic off\n')
  t.same(await new NetlinkTarget(() => checksumOffload('6.1.0')).apply(full(device), signal), [])
  t.equal(readFileSync(told, 'utf8').split('\n').length, 2, 'not asked on another kernel')
  t.same(await new NetlinkTarget(() => checksumOffload('5.4.0')).apply(full(device), signal), [])
  t.equal(readFileSync(told, 'utf8').split('\n').length, 2, 'nor where it was tried and packets arrived as they should')
})

t.test('what happens on the way is seen', async (t) => {
  // Of four questions: what is not answered within a second is sent again, where whoever asked has been stopped.
  const sound = await probeChecksums()
  t.match(sound, { kind: 'probed', wrong: 0 })
  t.ok(sound.kind === 'probed' && sound.seen >= 4, JSON.stringify(sound))
  const spoilt = `chain spoil { type filter hook postrouting priority 300; udp dport 8472 @th,48,16 set 0x1234; }\n}\n`
  const found = await probeChecksums(undefined, RULES.replace(/\}\n$/, spoilt))
  t.ok(found.kind === 'probed' && found.seen >= 4 && found.wrong === found.seen, JSON.stringify(found))
  t.match(judge(found), { isSound: false, found: /(\d+) of \1 packets arrived with a wrong checksum/ })
})

t.test(
  'packets of a device of ours that somebody translates on their way out arrive without a wrong checksum',
  async (t) => {
    const on = { device: 'flannel.1' }
    const [vtep, mac] = ['10.244.2.0', '02:00:00:00:00:02']
    const rows: readonly OverlayRow[] = [
      device,
      { kind: 'address', ip: '10.244.1.0', ...on },
      { kind: 'neighbour', ip: vtep, mac, ...on },
      { kind: 'fdb', mac, to: '172.30.0.12', ...on },
      { kind: 'route', to: '10.244.2.0/24', via: vtep, onlink: true, ...on },
    ]
    t.same(await new NetlinkTarget().apply(full(...rows), signal), [])
    const far = JSON.parse(await inside('n1', 'ip', '-j', 'link', 'show', 'eth1')) as { address: string }[]
    await ip('link set eth1 up', `neigh replace 172.30.0.12 lladdr ${far[0]!.address} dev eth0 nud permanent`)
    await inside('n1', 'nft', RULES.replace('"near"', '"eth0"').replaceAll('"far"', '"eth1"'))
    const question = JSON.stringify({ id: 1, type: 'tcp', host: '10.244.2.2', port: 80, timeoutMs: 200 })
    t.match(await exec([carrier, 'probe'], { stdin: question }), { kind: 'done', stdout: /no answer/ })
    const counters = await inside('n1', 'nft', 'list', 'counters')
    t.match(counters, /counter seen \{\s+packets [1-9]/)
    t.match(counters, /counter wrong \{\s+packets 0 /)
    await inside('n1', 'nft', 'delete', 'table', 'ip', 'probe')
  },
)

t.test('what cannot be tried is not trusted, and why is said', async (t) => {
  const path = process.env['PATH']
  t.teardown(() => (process.env['PATH'] = path))
  process.env['PATH'] = folder
  t.match(await checksumOffload('4.19.0'), { isSound: false, found: /could not be tried: unshare/ })
  writeFileSync(join(folder, 'unshare'), '#!/bin/sh\necho unshare failed: Operation not permitted >&2; exit 1\n')
  chmodSync(join(folder, 'unshare'), 0o755)
  process.env['PATH'] = `${folder}:${path}`
  t.match(await checksumOffload('4.19.0'), { isSound: false, found: /unshare --user .*not permitted/ })
  rmSync(join(folder, 'unshare'))
  t.match(await probeChecksums(undefined, 'nonsense'), { kind: 'failed', reason: /nft/ })
})

t.test('nothing of it is left, also when who tries is killed', async (t) => {
  const program = `import { makeNamespace } from './src/kernel/namespace.ts'
    const { namespace } = await makeNamespace()
    console.log((await namespace.run(['readlink', '/proc/self/ns/net'])).stdout); setInterval(() => {}, 1000)`
  const child = start([process.execPath, '--input-type=module-typescript', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said] = (await once(child.stdout!, 'data')) as [Buffer]
  const made = said.toString().trim()
  t.match(made, /^net:\[\d+\]$/)
  t.ok(isInhabited(made))
  child.kill('SIGKILL')
  await until('it is gone', () => !isInhabited(made))
})

/** Whether a process is in this network namespace. Processes come and go while we look. */
function isInhabited(space: string): boolean {
  return readdirSync('/proc').some((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/ns/net`) === space
    } catch {
      return false
    }
  })
}
