import fc from 'fast-check'
import t from 'tap'
import { Room } from '../contract/service-room.ts'
import { anyObject, anyPacket, objectKey } from './service-world.ts'
import { oracle } from './service-oracle.ts'
import { NODES, SERVICE_CIDR, type Raw } from '../contract/service-objects.ts'

t.test('rows route every packet as a plain reading of the objects says', (t) => {
  const seen = new Map<string, number>()
  fc.assert(
    fc.property(
      fc.array(anyObject, { minLength: 6, maxLength: 24 }),
      fc.array(anyPacket, { minLength: 30, maxLength: 60 }),
      (list, packets) => {
        const objects = new Map<string, Raw>([...NODES, SERVICE_CIDR].map((each) => [objectKey(each), each]))
        for (const each of list) objects.set(objectKey(each), each)
        const room = new Room({}, [...objects.values()])
        const frontends = [...room.rows().values()].filter((row) => row.kind === 'frontend')
        for (const { open, ...sent } of packets) {
          const reachable = frontends.filter(({ ip }) => ip.includes(':') === sent.src.includes(':'))
          const aim = open === null || reachable.length === 0 ? null : reachable[open % reachable.length]!
          const packet = aim === null ? sent : { src: sent.src, dst: aim.ip, protocol: aim.protocol, port: aim.port }
          const route = room.route(packet)
          const expected = oracle([...objects.values()], packet)
          const kind = route.kind === 'dnat' ? `dnat ${route.masquerade} ${route.hairpin !== null}` : route.kind
          seen.set(kind, (seen.get(kind) ?? 0) + 1)
          const [says, said] = [JSON.stringify(blur(route)), JSON.stringify(blur(expected))]
          if (says !== said) throw new Error(`${JSON.stringify(packet)}: ${says}, the oracle says ${said}`)
        }
      },
    ),
    { numRuns: 600 },
  )
  for (const kind of ['dnat true false', 'dnat false false', 'dnat false true', 'reject', 'drop', 'pass']) {
    t.ok((seen.get(kind) ?? 0) > 50, `${kind}: ${seen.get(kind)} packets`)
  }
  t.end()
})

/** An address that stands there with two ports is hairpin with either. */
function blur(route: ReturnType<typeof oracle>): unknown {
  return route.kind === 'dnat' ? { ...route, hairpin: route.hairpin?.replace(/:\d+$/, '') ?? null } : route
}
