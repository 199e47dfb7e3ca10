import type { Test as Tap } from 'tap'
import { familyOf } from '../../src/cluster/address.ts'
import type { Protocol } from '../../src/cluster/protocol.ts'
import type { Packet, Route } from '../../src/service/fake.ts'
import { PATIENCE_MS, Peer, type Port } from './peer.ts'
import { hasSctp } from './sctp.ts'
import { addOutside, announce, buildNodes, buildPod, NODES, six } from './topology.ts'
import { inside } from './world.ts'

/** All hosts and pods of a topology by address: who can be asked to send, and who answers. */
export class Hosts {
  readonly #names = new Map<string, string>()
  readonly #peers = new Map<string, Peer>()

  /**
   * Builds a host for each address that sends or answers: pods by their ranges, the rest as the host outside; who sends from
   * a service address is the node under test. Each destination that is nobody's is announced by the node under test.
   */
  async build(senders: Iterable<string>, destinations: Iterable<string>): Promise<void> {
    await buildNodes()
    for (const [name, address] of Object.entries(NODES)) this.#add(name, address, six(address))
    const services = new Set(destinations)
    for (const address of new Set(senders)) {
      if (this.#names.has(address)) continue
      const pod = podOf(address)
      if (pod !== null) this.#add(await buildPod(pod), pod, six(pod))
      else if (services.has(address)) {
        await inside('n1', 'ip', 'addr', 'add', `${address}/32`, 'dev', 'lo')
        await announce(address)
        this.#add('n1', address)
      } else {
        await addOutside(address)
        this.#add('outside', address)
      }
    }
    for (const address of services) if (!this.#names.has(address)) await announce(address)
  }

  /** Makes endpoints (`10.1.1.2:80`) answer. */
  async listen(endpoints: Iterable<string>, protocols: readonly Protocol[] = ['tcp', 'udp']): Promise<void> {
    const ports = new Map<Peer, Port[]>()
    for (const endpoint of new Set(endpoints)) {
      const [address, port] = split(endpoint)
      const peer = this.peer(address)
      ports.set(peer, [...(ports.get(peer) ?? []), ...protocols.map((protocol) => ({ protocol, port }))])
    }
    await Promise.all([...ports].map(([peer, all]) => peer.listen(all)))
  }

  peer(address: string): Peer {
    const name = this.#names.get(address)
    if (name === undefined) throw new Error(`no host has ${address}`)
    let peer = this.#peers.get(name)
    if (peer === undefined) this.#peers.set(name, (peer = new Peer(name)))
    return peer
  }

  name(address: string): string {
    return this.#names.get(address) ?? 'nobody'
  }

  close(): void {
    for (const peer of this.#peers.values()) peer.close()
  }

  /** Sends a packet and holds what became of it against what should have. Returns what was wrong; null: nothing. */
  async judge(packet: Packet, expect: Route): Promise<string | null> {
    const { src, dst, port, protocol } = packet
    const answers = expect.kind === 'dnat' || expect.kind === 'reject'
    // A busy machine may take its time; where silence is expected nobody waits that long.
    const answer = await this.peer(src).send({
      protocol,
      from: src,
      to: dst,
      port,
      ...(answers && { waitMs: PATIENCE_MS }),
    })
    const what = `${src} -> ${dst} ${protocol} ${port}`
    if (expect.kind === 'pass') return null // where it ends up is not ours to say
    if (expect.kind !== 'dnat') {
      const wanted = expect.kind === 'reject' ? 'refused' : 'silent'
      return answer.kind === wanted ? null : `${what}: ${JSON.stringify(answer)} instead of ${wanted}`
    }
    if (answer.kind !== 'answered') return `${what}: ${answer.kind} instead of an answer by ${expect.to}`
    if (!expect.to.includes(answer.by)) return `${what}: answered by ${answer.by}, none of ${expect.to}`
    // What the node itself sends has one of its addresses either way; so has what it answers itself.
    if (this.name(src) === 'n1' || this.name(split(answer.by)[0]) === 'n1') return null
    const masquerade = expect.masquerade || host(expect.hairpin) === host(answer.by)
    return (answer.seen !== src) === masquerade ? null : `${what}: ${answer.by} saw ${answer.seen}`
  }

  /** The same as assertions of a test, several times where there is a choice. */
  async check(t: Tap, packet: Packet, expect: Route): Promise<void> {
    const what = `${packet.src} -> ${packet.dst} ${packet.protocol} ${packet.port}`
    if (packet.protocol === 'sctp' && !hasSctp()) return void t.pass(what, { skip: 'no SCTP sockets in this kernel' })
    const times = expect.kind === 'dnat' ? Math.min(8, expect.to.length * 3) : 1
    for (let i = 0; i < times; i++) t.equal(await this.judge(packet, expect), null, what)
  }

  #add(name: string, ...addresses: string[]): void {
    for (const address of addresses) this.#names.set(address, name)
  }
}

/** The IPv4 address of the pod that has this address; null: no pod's. */
function podOf(address: string): string | null {
  if (familyOf(address) === 4) return address.startsWith('10.244.') ? address : null
  const match = /^fd00:10:244:(\d+)::(\d+)$/.exec(address)
  return match ? `10.244.${match[1]}.${match[2]}` : null
}

export function split(endpoint: string): [string, number] {
  const colon = endpoint.lastIndexOf(':')
  return [endpoint.slice(0, colon).replace(/^\[|\]$/g, ''), Number(endpoint.slice(colon + 1))]
}

const host = (endpoint: string | null): string | null => (endpoint === null ? null : split(endpoint)[0])
