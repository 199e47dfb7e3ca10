import type { Test as Tap } from 'tap'
import type { Protocol } from '../../src/cluster/protocol.ts'
import type { ServiceCase } from '../contract/service-cases.ts'
import { Room } from '../contract/service-room.ts'
import { Hosts, split } from './hosts.ts'
import { makeTarget } from './target.ts'
import { inside } from './world.ts'

/** Sends every packet of every case on this kernel, by the target: it must fare as the case says. Returns who sends and answers. */
export function contract(
  t: Tap,
  cases: readonly ServiceCase[],
  protocols: readonly Protocol[] = ['tcp', 'udp'],
): Hosts {
  const hosts = new Hosts()
  t.jobs = 1 // one kernel
  t.teardown(() => hosts.close())

  t.test('the hosts stand', { timeout: 300_000 }, async () => {
    const packets = cases.flatMap((each) => each.packets)
    const endpoints = packets.flatMap(({ expect }) => (expect.kind === 'dnat' ? expect.to : []))
    const senders = [...packets.map(({ src }) => src), ...endpoints.map((endpoint) => split(endpoint)[0])]
    await hosts.build(
      senders,
      packets.map(({ dst }) => dst),
    )
    await hosts.listen(endpoints, protocols)
  })

  for (const { name, objects, node, packets } of cases) {
    t.test(name, { timeout: 300_000 }, async (t) => {
      const room = new Room({ node }).put(...objects)
      const target = makeTarget()
      const to = { epoch: 'test', number: 1 }
      const delta = { from: 0, to, put: room.rows(), drop: new Set<string>(), was: new Map() }
      t.same(await target.apply(delta, SIGNAL), [], 'the kernel takes every row')
      t.same(await target.audit(SIGNAL), { clean: true }, 'the kernel holds every row')
      await inside('n1', 'conntrack', '-F')
      await Promise.all(packets.map(({ expect, ...packet }) => hosts.check(t, packet, expect)))
    })
  }
  return hosts
}

const SIGNAL = new AbortController().signal
