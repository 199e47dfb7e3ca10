/** On a kernel that sends wrong checksums by VXLAN they are computed before; with a stand-in for ethtool, which tells what it was asked. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { enterWorld, ip } from './world.ts'
await enterWorld()

import type { Delta } from '../../src/core/delta.ts'
import { NetlinkTarget } from '../../src/overlay/netlink/target.ts'
import { keyOf, type OverlayRow } from '../../src/overlay/rows.ts'

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
  const old = new NetlinkTarget({ kernel: '5.4.0', isSound: false })
  const path = process.env['PATH']
  t.match(await old.apply(full(device), signal), [{ key: 'device flannel.1', reason: /ethtool/, remedy: /install ethtool/ }]) // prettier-ignore
  writeFileSync(join(folder, 'ethtool'), `#!/bin/sh\necho "$@" >> ${told}\n`)
  chmodSync(join(folder, 'ethtool'), 0o755)
  process.env['PATH'] = `${folder}:${path}`
  t.same(await old.apply(full(device), signal), [])
  t.equal(readFileSync(told, 'utf8'), '-K flannel.1 tx-checksum-ip-generic off\n')
  t.same(await new NetlinkTarget({ kernel: '6.1.0', isSound: true }).apply(full(device), signal), [])
  t.equal(readFileSync(told, 'utf8').split('\n').length, 2, 'not asked on another kernel')
})
