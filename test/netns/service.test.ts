/** The service contract on a real kernel: every packet of every case is sent and must fare as the case (and the fake) says. */
import t from 'tap'
import { enterWorld, inside } from './world.ts'
await enterWorld()

import { nftProcess } from '../../src/kernel/nft.ts'
import { NftTarget } from '../../src/service/nftables/target.ts'
import { serviceCases } from '../contract/service-cases.ts'
import { Room } from '../contract/service-room.ts'
import { Hosts } from './hosts.ts'

const signal = new AbortController().signal
const hosts = new Hosts()
t.setTimeout(600_000)
t.jobs = 1 // one kernel
t.teardown(() => hosts.close())

t.test('the hosts stand', { timeout: 300_000 }, async () => {
  const packets = serviceCases.flatMap((each) => each.packets)
  const endpoints = packets.flatMap(({ expect }) => (expect.kind === 'dnat' ? expect.to : []))
  const addresses = endpoints.map((endpoint) => endpoint.replace(/:\d+$/, '').replace(/^\[|\]$/g, ''))
  await hosts.build(
    [...packets.map(({ src }) => src), ...addresses],
    packets.map(({ dst }) => dst),
  )
  await hosts.listen(endpoints)
})

for (const { name, objects, node, packets } of serviceCases) {
  t.test(name, async (t) => {
    const room = new Room({ node }).put(...objects)
    const target = new NftTarget({ changes: nftProcess, loads: nftProcess })
    const to = { epoch: 'test', number: 1 }
    const delta = { from: 0, to, put: room.rows(), drop: new Set<string>(), was: new Map() }
    t.same(await target.apply(delta, signal), [], 'the kernel takes every row')
    t.same(await target.audit(signal), { clean: true }, 'the kernel holds every row')
    await inside('n1', 'conntrack', '-F')
    await Promise.all(packets.map(({ expect, ...packet }) => hosts.check(t, packet, expect)))
  })
}
