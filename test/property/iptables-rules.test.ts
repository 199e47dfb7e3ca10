/** Chains of the iptables target, kept up by changes, do with each packet what the fake says, and choose evenly. */
import fc from 'fast-check'
import t from 'tap'
import type { Family } from '../../src/cluster/protocol.ts'
import { Cursor } from '../../src/core/cursor.ts'
import { asTable } from '../../src/core/table.ts'
import type { Packet, Route } from '../../src/service/fake.ts'
import { Corner } from '../../src/service/iptables/corner.ts'
import { digest } from '../../src/service/iptables/digest.ts'
import { digitsOf, Dispatch, type Changes } from '../../src/service/iptables/dispatch.ts'
import { CHAINS } from '../../src/service/iptables/names.ts'
import { frontendKey, slotKey, type ServiceRow } from '../../src/service/rows.ts'
import { layOut, placesFor } from '../../src/service/slots.ts'
import { NODES } from '../contract/service-objects.ts'
import { Room } from '../contract/service-room.ts'
import { walk, type Walked } from './iptables-walk.ts'
import { anyObject, anyPacket } from './service-world.ts'

const familyOf = (text: string): Family => (text.includes(':') ? 6 : 4)

const NODE_ADDRESSES = new Set<string>(
  NODES.filter(({ metadata }) => metadata['name'] === 'n1').flatMap(({ status }) =>
    status.addresses.map(({ address }: { address: string }) => address),
  ),
)

/** What a kernel would hold of the changes. */
class Held {
  readonly chains = new Map<string, readonly string[]>()
  readonly corner: Corner

  constructor(family: Family) {
    this.corner = new Corner(family)
  }

  commit(): void {
    for (const [chain, rules] of this.corner.pending()) {
      if (rules === null) this.chains.delete(chain)
      else this.chains.set(chain, rules)
    }
    this.corner.committed()
  }

  /** Chains that nothing leads to, and rules that lead nowhere, would be refused or left behind. */
  check(): void {
    const led = new Set<string>([CHAINS.services, CHAINS.postrouting])
    for (const rules of this.chains.values())
      for (const rule of rules) for (const [, to] of rule.matchAll(/-[jg] (FAIRLEAD-\S+)/g)) led.add(to!)
    for (const to of led) if (!this.chains.has(to)) throw new Error(`${to} is led to, and not there`)
    for (const chain of this.chains.keys())
      if (!led.has(chain) && ![CHAINS.refuse, CHAINS.drop, CHAINS.outside].includes(chain as never))
        throw new Error(`nothing leads to ${chain}`)
    for (const [chain, rules] of this.chains)
      if (this.corner.held.get(chain) !== digest(rules)) throw new Error(`${chain} is booked as something else`)
    if (this.corner.held.size !== this.chains.size) throw new Error('more is booked than is there')
  }
}

t.test('random clusters, kept up by changes', (t) => {
  const seen = new Map<string, number>()
  const history = fc.array(
    fc.record({
      changes: fc.array(anyObject, { minLength: 1, maxLength: 8 }),
      drops: fc.array(anyObject, { maxLength: 2 }),
      packets: fc.array(anyPacket, { minLength: 6, maxLength: 12 }),
    }),
    { minLength: 2, maxLength: 6 },
  )
  fc.assert(
    fc.property(history, (steps) => {
      const room = new Room()
      const cursor = new Cursor<ServiceRow>(asTable(room.services.rows), room.graph.epoch)
      const held = { 4: new Held(4), 6: new Held(6) }
      for (const { changes, drops, packets } of steps) {
        room.put(...changes).drop(...drops.filter(({ kind }) => kind !== 'Node'))
        room.settle()
        const delta = cursor.take()
        if (delta !== null) {
          const of = (row: ServiceRow): Held =>
            held[familyOf('at' in row ? row.at.ip : 'cidr' in row ? row.cidr : row.ip)]
          for (const key of delta.drop) of(delta.was.get(key)!).corner.replace(key, delta.was.get(key), undefined)
          for (const [key, row] of delta.put) of(row).corner.replace(key, delta.was.get(key), row)
          cursor.landed([])
        }
        for (const each of Object.values(held)) {
          each.commit()
          each.check()
        }
        const frontends = [...room.rows().values()].filter((row) => row.kind === 'frontend')
        for (const { open, ...sent } of packets) {
          const reachable = frontends.filter(({ ip }) => familyOf(ip) === familyOf(sent.src))
          const aim = open === null || reachable.length === 0 ? null : reachable[open % reachable.length]!
          const packet = aim === null ? sent : { src: sent.src, dst: aim.ip, protocol: aim.protocol, port: aim.port }
          const route = room.route(packet)
          seen.set(route.kind, (seen.get(route.kind) ?? 0) + 1)
          const wrong = judge(held[familyOf(packet.src)].chains, packet, route)
          if (wrong !== null) throw new Error(`${JSON.stringify(packet)}: ${wrong}; expected ${JSON.stringify(route)}`)
        }
      }
    }),
    { numRuns: 400 },
  )
  for (const kind of ['dnat', 'reject', 'drop', 'pass']) t.ok(seen.has(kind), kind)
  t.end()
})

t.test('pod ranges that change, change who is split from whom', (t) => {
  const held = new Held(4)
  const at = { ip: '172.30.0.200', protocol: 'tcp', port: 80 } as const
  const frontend: ServiceRow = {
    ...{ kind: 'frontend', ...at, scope: 'external', slots: 1, local: 0, mainEmpty: 'reject', localEmpty: 'drop' },
    ...{ affinity: 0, pool: 7, filtered: false, service: 'shop/web:http' },
  }
  const range = (cidr: string): ServiceRow => ({ kind: 'range', set: 'pods', cidr })
  const ends = (src: string): string[] => {
    held.commit()
    held.check()
    return [...walk(held.chains, CHAINS.services, { src, dst: at.ip, protocol: 'tcp', port: 80, fromNode: false }).shares.keys()] // prettier-ignore
  }
  held.corner.replace(frontendKey(at), undefined, frontend)
  held.corner.replace(slotKey(at, 'main', 0), undefined, { kind: 'slot', at, set: 'main', slot: 0, ip: '10.244.2.1', port: 8080, id: 0 }) // prettier-ignore
  held.corner.replace('r', undefined, range('10.244.1.0/24'))
  t.same(ends('10.244.1.1'), ['DNAT 10.244.2.1:8080 0x0'])
  held.corner.replace('r', range('10.244.1.0/24'), range('10.244.3.0/24'))
  t.same(ends('10.244.1.1'), ['ACCEPT 0x8000'])
  t.same(ends('10.244.3.1'), ['DNAT 10.244.2.1:8080 0x0'])
  t.end()
})

t.test('a frontend is found among many in a few steps, whatever their addresses', (t) => {
  const anyAddress = fc.oneof(
    fc.nat(40_000).map((n) => `10.96.${n >> 8}.${n & 255}`),
    fc.nat(300).map((n) => `10.${n & 255}.${n >> 8}.1`),
    fc.constant('172.30.0.11'),
  )
  const anyKey = fc.record({
    ip: anyAddress,
    port: fc.oneof(fc.constant(null), fc.integer({ min: 30_000, max: 32_767 }), fc.constantFrom(1, 80, 65535)),
    protocol: fc.constantFrom('tcp' as const, 'udp' as const),
  })
  const anyEdits = fc.array(fc.record({ key: anyKey, gone: fc.boolean() }), { minLength: 300, maxLength: 1500 })
  let most = 0
  fc.assert(
    fc.property(anyEdits, fc.array(anyKey, { minLength: 20, maxLength: 20 }), (edits, others) => {
      const dispatch = new Dispatch(4, 'ROOT')
      const rules = new Map<string, string>()
      const chains = new Map<string, readonly string[]>()
      const name = ({ ip, port, protocol }: Edit): string => `${ip} ${port === null ? '' : `${protocol} ${port}`}`
      const put = (key: Edit, gone: boolean): void => {
        const [, protocol, port] = [0, key.protocol, key.port]
        const match = port === null ? '' : `-p ${protocol} -m ${protocol} --dport ${port} `
        const rule = gone ? null : `-d ${key.ip}/32 ${match}-j DNAT --to-destination ${name(key)}`
        dispatch.set(port === null ? digitsOf(key.ip) : digitsOf(key.ip, protocol, port), rule)
        if (rule === null) rules.delete(name(key))
        else rules.set(name(key), rule)
      }
      const take = (): void => {
        const changes: Changes = new Map()
        dispatch.take(changes)
        for (const [chain, each] of changes)
          if (each === null) chains.delete(chain)
          else chains.set(chain, each)
      }
      const half = edits.length >> 1
      for (const { key } of edits.slice(0, half)) put(key, false)
      take()
      for (const { key, gone } of edits.slice(half)) put(key, gone)
      for (const { key, gone } of edits.slice(0, half)) if (gone && key.port !== null) put(key, true)
      take()
      for (const [chain, each] of chains)
        if (each.length === 0 && chain !== 'ROOT') throw new Error(`${chain} is empty`)
      for (const { ip, port, protocol } of [...edits.map(({ key }) => key), ...others]) {
        const packet: Walked = { src: '10.0.0.1', dst: ip, protocol, port: port ?? 7, fromNode: false }
        const { shares, looked } = walk(chains, 'ROOT', packet)
        const exact = name({ ip, protocol, port: packet.port })
        const wanted = rules.has(exact) ? exact : rules.has(`${ip} `) ? `${ip} ` : null
        // The walk takes the first word of a destination.
        const end = wanted === null ? 'RETURN 0x0' : `DNAT ${ip} 0x0`
        if (shares.get(end) !== 1 || shares.size !== 1)
          throw new Error(`${exact}: ${JSON.stringify([...shares])}, not ${end}`)
        most = Math.max(most, looked)
      }
    }),
    { numRuns: 40 },
  )
  t.ok(most < 130, `${most} rules looked at, at most`)
  t.end()
})

t.test('endpoints are chosen evenly, however many; a client that is remembered goes where it was', (t) => {
  for (const count of [1, 2, 3, 16, 17, 128, 129, 300, 5000]) {
    const ips = Array.from({ length: count }, (_, i) => `10.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`)
    const layout = layOut({ ips, ports: ips.map(() => 8080) })
    for (const affinity of count <= 300 ? [0, 60] : [0]) {
      const held = new Held(4)
      const at = { ip: '10.96.0.1', protocol: 'tcp', port: 80 } as const
      const frontend: ServiceRow = {
        ...{ kind: 'frontend', ...at, scope: 'cluster', slots: placesFor(count), local: null, mainEmpty: 'reject' },
        ...{ localEmpty: 'drop', affinity, pool: 7, filtered: false, service: 'shop/web:http' },
      }
      held.corner.replace(frontendKey(at), undefined, frontend)
      layout.slots.forEach((slot, i) => {
        const [ip, id] = [layout.ips[i]!, affinity === 0 ? 0 : layout.ids[i]!]
        const row: ServiceRow = { kind: 'slot', at, set: 'main', slot, ip, port: 8080, id }
        held.corner.replace(slotKey(at, 'main', slot), undefined, row)
      })
      held.commit()
      held.check()
      const packet: Walked = { src: '10.0.0.1', dst: at.ip, protocol: 'tcp', port: 80, fromNode: false }
      const { shares, looked, remembered } = walk(held.chains, CHAINS.services, packet)
      const uneven = [...shares.values()].filter((share) => Math.abs(share * count - 1) > 1e-3)
      t.same([shares.size, uneven], [count, []], `${count} endpoints, ${looked} rules looked at`)
      t.ok(looked < (affinity === 0 ? 80 : 100 + count))
      if (affinity === 0) continue
      t.same([...held.corner.sets.names()].length, count)
      for (const [end, sets] of remembered) {
        t.equal(sets.size, 1, 'each endpoint has clients of its own')
        const again = walk(held.chains, CHAINS.services, { ...packet, sets })
        if (again.shares.get(end) !== 1) t.fail(`${end}: ${JSON.stringify([...again.shares])}`)
      }
    }
  }
  t.end()
})

type Edit = { readonly ip: string; readonly port: number | null; readonly protocol: 'tcp' | 'udp' }

/** null: right. */
function judge(chains: ReadonlyMap<string, readonly string[]>, packet: Packet, route: Route): string | null {
  const walked: Walked = { ...packet, fromNode: NODE_ADDRESSES.has(packet.src) }
  const { shares } = walk(chains, CHAINS.services, walked)
  const said = JSON.stringify([...shares])
  const only = (end: string): string | null => (shares.size === 1 && shares.has(end) ? null : said)
  switch (route.kind) {
    case 'pass':
      return only('RETURN 0x0')
    case 'drop':
      return only('ACCEPT 0x8000')
    case 'reject':
      return only('ACCEPT 0xc000')
    case 'dnat': {
      if (shares.size !== route.to.length) return said
      for (const [end, share] of shares) {
        const [, to, mark] = /^DNAT (\S+) (0x\w+)$/.exec(end) ?? []
        if (!to || !route.to.includes(to) || Math.abs(share - 1 / route.to.length) > 1e-6) return said
        const dst = to.replace(/:\d+$/, '').replace(/[[\]]/g, '')
        const after = walk(chains, CHAINS.postrouting, { ...walked, dst }, Number(mark))
        const masquerade = after.shares.has('MASQUERADE 0x0')
        const wanted = route.masquerade || (route.hairpin !== null && dst === packet.src)
        if (masquerade !== wanted) return `${to}: ${masquerade ? '' : 'not '}masqueraded`
      }
      return null
    }
    default:
      throw route satisfies never
  }
}
