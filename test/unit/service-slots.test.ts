import t from 'tap'
import { hash32, localPool, poolOf } from '../../src/service/hash.ts'
import { ENDPOINTS_MAX, layOut, MAX_EXACT, placesFor, SPARSE_FALLBACK } from '../../src/service/slots.ts'

const members = (count: number, first = 0) => {
  const ips = Array.from(
    { length: count },
    (_, i) => `10.${((first + i) >> 16) & 255}.${((first + i) >> 8) & 255}.${(first + i) & 255}`,
  )
  return { ips, ports: ips.map(() => 8080) }
}

/** slot -> endpoint, as rows would say it. */
function placed(set: ReturnType<typeof members>): Map<number, string> {
  const { slots, ips, ports } = layOut(set)
  return new Map(slots.map((slot, i) => [slot, `${ips[i]} ${ports[i]}`]))
}

t.test('nobody', (t) => {
  t.same(layOut(members(0)), { slots: [], ids: [], ips: [], ports: [] })
  t.equal(placesFor(0), 0)
  t.end()
})

t.test(`up to ${MAX_EXACT} endpoints: every slot is filled, once`, (t) => {
  for (const count of [1, 2, 10, MAX_EXACT]) {
    const { slots, ips } = layOut(members(count))
    t.equal(placesFor(count), count)
    t.same(
      slots,
      Array.from({ length: count }, (_, i) => i),
    )
    t.equal(new Set(ips).size, count)
  }
  t.end()
})

t.test('above: a sparse set, everybody once, and the fallback', (t) => {
  for (const count of [MAX_EXACT + 1, 170, 171, 5000]) {
    const { slots, ips, ids } = layOut(members(count))
    const places = placesFor(count)
    t.ok(places >= 1.5 * count && (places < 3 * count || places === 256), `${places} places for ${count}`)
    t.equal(Math.log2(places) % 1, 0, 'a power of two')
    t.equal(slots.at(-1), SPARSE_FALLBACK)
    t.equal(ips.at(-1), ips[0], 'the fallback is who has the smallest hash')
    t.equal(ids.at(-1), ids[0])
    t.equal(new Set(slots.slice(0, -1)).size, count, 'no place twice')
    t.equal(new Set(ips).size, count, 'nobody left out')
    t.ok(slots.slice(0, -1).every((slot) => slot < places))
  }
  t.end()
})

t.test('the largest set: 65,536 places, of which the last is the fallback’s', (t) => {
  t.equal(placesFor(ENDPOINTS_MAX + 100), 65536)
  for (let first = 0; first < 6; first++) {
    // Some of these sets have somebody whose home is that place.
    const { slots, ips } = layOut(members(ENDPOINTS_MAX, first << 17))
    t.equal(slots.length, ENDPOINTS_MAX + 1)
    t.equal(new Set(slots).size, slots.length, 'nobody else is in the fallback’s place')
    t.equal(new Set(ips).size, ENDPOINTS_MAX)
  }
  t.equal(new Set(layOut(members(ENDPOINTS_MAX + 100)).ips).size, ENDPOINTS_MAX, 'the rest is left out')
  t.end()
})

t.test('order does not matter', (t) => {
  for (const count of [10, 300]) {
    const set = members(count)
    const reversed = { ips: set.ips.toReversed(), ports: set.ports.toReversed() }
    t.same([...placed(reversed)].sort(), [...placed(set)].sort())
  }
  t.end()
})

t.test('two endpoints with the same hash: the address decides, not the order; ids differ', (t) => {
  const seen = new Map<number, string>()
  let twins: string[] = []
  for (let i = 0; twins.length === 0; i++) {
    const ip = `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`
    const hash = hash32(ip, 8080)
    if (seen.has(hash)) twins = [seen.get(hash)!, ip]
    seen.set(hash, ip)
  }
  for (const others of [[], members(200, 1 << 23).ips]) {
    const make = (ips: readonly string[]) => ({ ips: [...others, ...ips], ports: [...others, ...ips].map(() => 8080) })
    const [one, other] = [make(twins), make(twins.toReversed())]
    t.same([...placed(one)].sort(), [...placed(other)].sort())
    t.equal(new Set(layOut(one).ids).size, others.length + 2)
  }
  t.end()
})

t.test('one endpoint of 5,000 goes or comes: a few slots change', (t) => {
  const set = members(5000)
  const before = placed(set)
  const costs = Array.from({ length: 200 }, (_, i) => {
    const gone = i * 25
    const after = placed({ ips: set.ips.toSpliced(gone, 1), ports: set.ports.toSpliced(gone, 1) })
    return [...new Set([...before.keys(), ...after.keys()])].filter((slot) => before.get(slot) !== after.get(slot))
      .length
  })
  const mean = costs.reduce((sum, cost) => sum + cost, 0) / costs.length
  t.ok(mean < 8, `mean ${mean}`)
  t.ok(Math.max(...costs) < 100, `worst ${Math.max(...costs)}`)
  t.end()
})

t.test('drawn at random, endpoints are equally likely, and misses are rare', (t) => {
  const set = members(3000)
  const slots = placed(set)
  const places = placesFor(3000)
  // Each place is as likely as any other, and each endpoint has one: a miss is drawn again, up to 16 times.
  const taken = [...slots.keys()].filter((slot) => slot !== SPARSE_FALLBACK).length
  t.equal(taken, 3000)
  t.ok((1 - taken / places) ** 16 < 0.002)
  t.end()
})

t.test('ids: within 20 bits, unique, those of the others stay when one goes', (t) => {
  const set = members(5000)
  const idOf = ({ ips, ids }: ReturnType<typeof layOut>) => new Map(ips.map((ip, i) => [ip, ids[i]!]))
  const before = idOf(layOut(set))
  t.equal(new Set(before.values()).size, 5000)
  t.ok([...before.values()].every((id) => id >= 1 && id < 2 ** 20))
  const fewer = { ips: set.ips.slice(1), ports: set.ports.slice(1) }
  const after = idOf(layOut(fewer))
  const moved = [...after].filter(([ip, id]) => before.get(ip) !== id)
  t.ok(moved.length <= 2, `${moved.length} moved`)
  t.end()
})

t.test('ids: the largest set has enough of them', (t) => {
  const { ids } = layOut(members(ENDPOINTS_MAX))
  t.equal(new Set(ids.slice(0, -1)).size, ENDPOINTS_MAX)
  t.ok(ids.every((id) => id >= 1 && id < 2 ** 20))
  t.end()
})

t.test('the same address on two ports is two endpoints', (t) => {
  const set = { ips: ['10.0.0.1', '10.0.0.1'], ports: [80, 81] }
  t.same([...placed(set).values()].sort(), ['10.0.0.1 80', '10.0.0.1 81'])
  t.equal(new Set(layOut(set).ids).size, 2)
  t.end()
})

t.test('pools: by ServicePort and family, never 0', (t) => {
  const pools = new Set([
    poolOf('a', 'b', '', 'tcp', 4),
    poolOf('a', 'b', '', 'tcp', 6),
    poolOf('a', 'b', '', 'udp', 4),
    poolOf('a', 'b', 'c', 'tcp', 4),
    poolOf('a', 'bb', '', 'tcp', 4),
  ])
  t.equal(pools.size, 5)
  for (const pool of pools) {
    t.ok(pool > 0 && pool <= 0xffffffff)
    t.ok(localPool(pool) > 0 && localPool(pool) !== pool)
    t.equal(localPool(localPool(pool)), pool)
  }
  t.end()
})
