import fc from 'fast-check'
import t from 'tap'
import { packEndpoints, unpackEndpoints, type Endpoint } from '../../src/cluster/endpointlist.ts'
import { pack, unpack } from '../../src/service/members.ts'

const address = fc.oneof(fc.ipV4(), fc.ipV6())

t.test('what is packed comes back, small sets grouped by port', async (t) => {
  const member = fc.tuple(address, fc.constantFrom(80, 443, 65535))
  fc.assert(
    fc.property(fc.array(member, { size: 'max', maxLength: 300 }), (list) => {
      const packed = pack({ ips: list.map(([ip]) => ip), ports: list.map(([, port]) => port) })
      const { ips, ports } = unpack(packed)
      const order = [...new Set(list.map(([, port]) => port))]
      const wanted = list.length > 128 ? list : order.flatMap((port) => list.filter((member) => member[1] === port))
      t.same(
        ips.map((ip, i) => [ip, ports[i]]),
        wanted,
      )
      if (packed.count !== list.length) throw new Error('count')
    }),
    { numRuns: 200 },
  )
})

t.test('endpoints by columns come back as they were', async (t) => {
  const name = fc.option(fc.string(), { nil: null })
  const hints = fc.option(fc.array(fc.string()), { nil: null })
  const state = { ready: fc.boolean(), serving: fc.boolean(), terminating: fc.boolean() }
  const endpoint: fc.Arbitrary<Endpoint> = fc.record({
    ...{ address, ...state, node: name, zone: name, hintZones: hints, hintNodes: hints },
  })
  fc.assert(
    fc.property(fc.array(endpoint, { size: 'max', maxLength: 80 }), (list) => {
      const packed = packEndpoints(list)
      t.same(unpackEndpoints(packed), list)
      t.same(unpackEndpoints(packed), list, 'again')
      if (packed.count !== list.length) throw new Error('count')
    }),
    { numRuns: 200 },
  )
})
