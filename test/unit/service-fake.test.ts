import t from 'tap'
import { endpoint, service, slice, type Raw } from '../contract/service-objects.ts'
import { NODE, OUTSIDE, POD, Room, tcp, udp } from '../contract/service-room.ts'

const IP = '10.96.0.10'
const A1 = '10.244.1.10'
const IPS = [A1, '10.244.1.11', '10.244.2.10', '10.244.2.11']
const pods = (...ips: readonly string[]) =>
  slice(
    'web-1',
    'web',
    ips.map((ip) => endpoint(ip)),
  )
const sticky = (more: Raw = {}) =>
  service('web', [IP], {
    ...{ type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }], sessionAffinity: 'ClientIP' },
    ...more,
  })
const to = (route: ReturnType<Room['route']>) => (route.kind === 'dnat' ? route.to : [])

t.test('affinity holds a client to an endpoint, whichever address of the ServicePort it uses', (t) => {
  const room = new Room().put(sticky(), pods(...IPS))
  const all = to(room.route(tcp(POD, IP)))
  t.equal(all.length, 4)
  for (let choice = 0; choice < 4; choice++) {
    const client = `10.244.1.${100 + choice}`
    const [first] = to(room.fake.connect(tcp(client, IP), choice))
    t.equal(first, all[choice])
    t.same(to(room.route(tcp(client, IP))), [first])
    t.same(to(room.route(tcp(client, NODE, 30080))), [first], 'by node port')
  }
  t.equal(to(room.route(tcp(OUTSIDE, IP))).length, 4, 'another client is free')
  t.end()
})

t.test('affinity ends: by time, refreshed by each connection; with its endpoint; not with another', (t) => {
  const room = new Room().put(sticky({ sessionAffinityConfig: { clientIP: { timeoutSeconds: 10 } } }), pods(...IPS))
  room.settle()
  const held = to(room.fake.connect(tcp(POD, IP), 2))
  room.fake.now = 9
  t.same(to(room.fake.connect(tcp(POD, IP), 1)), held)
  room.fake.now = 18
  t.same(to(room.route(tcp(POD, IP))), held, 'refreshed')
  const isHeld = (ip: string) => held[0] === `${ip}:8080`
  t.same(to(room.put(pods(...IPS.filter((ip, i) => isHeld(ip) || i % 2 === 0))).route(tcp(POD, IP))), held)
  t.equal(to(room.put(pods(...IPS.filter((ip) => !isHeld(ip)))).route(tcp(POD, IP))).length, 3, 'its endpoint is gone')
  t.same(to(room.put(pods(...IPS)).route(tcp(POD, IP))), held, 'and back in time')
  room.fake.now = 28
  t.equal(to(room.route(tcp(POD, IP))).length, 4, 'timed out')
  t.end()
})

t.test('affinity can be switched off and is by ServicePort', (t) => {
  const ports = [
    { name: 'http', port: 80 },
    { name: 'dns', port: 80, protocol: 'UDP' },
  ]
  const slices = slice(
    'web-1',
    'web',
    IPS.map((ip) => endpoint(ip)),
    [
      { name: 'http', port: 8080 },
      { name: 'dns', port: 8080, protocol: 'UDP' },
    ],
  )
  const room = new Room().put(service('web', [IP], { ports, sessionAffinity: 'ClientIP' }), slices)
  room.settle()
  room.fake.connect(tcp(POD, IP))
  t.equal(to(room.route(tcp(POD, IP))).length, 1)
  t.equal(to(room.route(udp(POD, IP))).length, 4)
  t.equal(to(room.put(service('web', [IP], { ports })).route(tcp(POD, IP))).length, 4)
  t.end()
})

t.test('affinity under Local policy: a client’s local endpoint is remembered apart', (t) => {
  const room = new Room().put(sticky({ externalTrafficPolicy: 'Local' }), pods(...IPS))
  room.settle()
  const remote = to(room.fake.connect(tcp(OUTSIDE, IP), 3))
  const local = to(room.fake.connect(tcp(OUTSIDE, NODE, 30080), 0))
  t.same(to(room.route(tcp(OUTSIDE, IP))), remote)
  t.same(to(room.route(tcp(OUTSIDE, NODE, 30080))), local)
  t.end()
})

t.test('without affinity nothing is remembered', (t) => {
  const room = new Room().put(service('web', [IP]), pods(...IPS))
  room.settle()
  room.fake.connect(tcp(POD, IP))
  t.equal(to(room.route(tcp(POD, IP))).length, 4)
  t.end()
})

t.test('from 0 replaces rows and keeps what was learned; cleanup forgets all, twice', async (t) => {
  const room = new Room().put(sticky(), pods(...IPS))
  room.settle()
  const held = to(room.fake.connect(tcp(POD, IP)))
  const put = room.rows()
  await room.fake.apply({ from: 0, to: { epoch: 'x', number: 1 }, put, drop: new Set(), was: new Map() })
  t.same([...room.fake.rows], [...put])
  t.same(to(room.fake.route(tcp(POD, IP))), held)
  await room.fake.cleanup()
  await room.fake.cleanup()
  t.same(room.fake.route(tcp(POD, IP)), { kind: 'pass' })
  t.same(await room.fake.audit(), { clean: true })
})

t.test('a frontend whose slots are missing is a bug, and is said to be', async (t) => {
  const room = new Room().put(service('web', [IP]), pods(A1))
  const put = new Map([...room.rows()].filter(([key]) => !key.startsWith('s ')))
  await room.fake.apply({ from: 0, to: { epoch: 'x', number: 1 }, put, drop: new Set(), was: new Map() })
  t.throws(() => room.fake.route(tcp(POD, IP)), /no row s 10\.96\.0\.10 tcp 80 0/)
})
