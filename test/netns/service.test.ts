/** The service contract on a real kernel: every packet of every case is sent and must fare as the case (and the fake) says. */
import t, { type Test as Tap } from 'tap'
import { enterWorld, inside } from './world.ts'
await enterWorld()

import { familyOf } from '../../src/cluster/address.ts'
import { nftProcess } from '../../src/kernel/nft.ts'
import { NftTarget } from '../../src/service/nftables/target.ts'
import { serviceCases, type ServiceCase } from '../contract/service-cases.ts'
import { NODE, Room } from '../contract/service-room.ts'
import { Peer } from './peer.ts'
import { addOutside, announce, buildNodes, buildPod, NODES, six } from './topology.ts'

type Packet = ServiceCase['packets'][number]

const signal = new AbortController().signal
const peers = new Map<string, Peer>()
t.teardown(() => {
  for (const peer of peers.values()) peer.close()
})

t.setTimeout(600_000)
t.jobs = 1 // one kernel
t.test('the hosts stand', { timeout: 300_000 }, build)

for (const { name, objects, node, packets } of serviceCases) {
  t.test(name, async (t) => {
    const room = new Room({ node }).put(...objects)
    const target = new NftTarget({ changes: nftProcess, loads: nftProcess })
    const to = { epoch: 'test', number: 1 }
    const delta = { from: 0, to, put: room.rows(), drop: new Set<string>(), was: new Map() }
    t.same(await target.apply(delta, signal), [], 'the kernel takes every row')
    t.same(await target.audit(signal), { clean: true }, 'the kernel holds every row')
    await inside('n1', 'conntrack', '-F')
    await Promise.all(packets.map((packet) => check(t, packet)))
  })
}

async function check(t: Tap, packet: Packet): Promise<void> {
  const { src, dst, protocol, port, expect } = packet
  const what = `${src} -> ${dst} ${protocol} ${port}`
  if (protocol === 'sctp')
    return void t.pass(`${what}: this kernel has no SCTP sockets`, { skip: 'no SCTP sockets here' })
  if (expect.kind === 'pass') return // where it ends up is not ours to say
  const times = expect.kind === 'dnat' ? Math.min(8, expect.to.length * 3) : 1
  for (let i = 0; i < times; i++) {
    const answer = await peers.get(src)!.send({ protocol, from: src, to: dst, port })
    if (expect.kind !== 'dnat') {
      t.equal(answer.kind, expect.kind === 'reject' ? 'refused' : 'silent', what)
      continue
    }
    if (answer.kind !== 'answered') return void t.fail(`${what}: ${answer.kind} instead of an answer by ${expect.to}`)
    t.ok(expect.to.includes(answer.by), `${what}: answered by ${answer.by}, one of ${expect.to}`)
    // What the node itself sends has one of its addresses either way.
    if (!fromNode(src))
      t.equal(
        answer.seen !== src,
        expect.masquerade || expect.hairpin === answer.by,
        `${what}: the endpoint saw ${answer.seen}`,
      )
  }
}

const fromNode = (src: string): boolean => peers.get(src) === peers.get(NODE)

async function build(): Promise<void> {
  await buildNodes()
  const packets = serviceCases.flatMap((each) => each.packets)
  const endpoints = packets.flatMap(({ expect }) => (expect.kind === 'dnat' ? expect.to : [])).map(split)
  const hosts = new Map<string, string>()
  for (const [name, address] of Object.entries(NODES)) for (const each of [address, six(address)]) hosts.set(each, name)
  const sources = packets.map(({ src }) => src)
  const ownVips = new Set<string>()
  const destinations = new Set(packets.map(({ dst }) => dst))
  for (const address of new Set([...sources, ...endpoints.map(([address]) => address)])) {
    if (hosts.has(address)) continue
    const four = fourOf(address)
    if (four === null && destinations.has(address)) {
      // The node under test uses a service address as its own.
      await inside('n1', 'ip', 'addr', 'add', `${address}/32`, 'dev', 'lo')
      hosts.set(address, 'n1')
      ownVips.add(address)
      continue
    }
    if (four === null) {
      await addOutside(address)
      hosts.set(address, 'outside')
      continue
    }
    const name = await buildPod(four)
    for (const each of [four, six(four)]) hosts.set(each, name)
  }
  for (const dst of destinations) if (!hosts.has(dst) || ownVips.has(dst)) await announce(dst)

  const byName = new Map<string, Peer>()
  for (const [address, name] of hosts) {
    if (!byName.has(name)) byName.set(name, new Peer(name))
    peers.set(address, byName.get(name)!)
  }
  for (const protocol of ['tcp', 'udp'] as const)
    await Promise.all(endpoints.map(([address, port]) => peers.get(address)!.listen([{ protocol, port }])))
}

/** The IPv4 address of the pod that has this address; null: no pod's. */
function fourOf(address: string): string | null {
  if (familyOf(address) === 4) return address.startsWith('10.244.') ? address : null
  const match = /^fd00:10:244:(\d+)::(\d+)$/.exec(address)
  return match ? `10.244.${match[1]}.${match[2]}` : null
}

function split(endpoint: string): [string, number] {
  const colon = endpoint.lastIndexOf(':')
  return [endpoint.slice(0, colon).replace(/^\[|\]$/g, ''), Number(endpoint.slice(colon + 1))]
}
