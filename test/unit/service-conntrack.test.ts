/** Which frontends' flows are looked at, for a delta; the kernel's part is in test/netns/service-udp.test.ts. */
import t from 'tap'
import { Cursor } from '../../src/core/cursor.ts'
import type { Delta } from '../../src/core/delta.ts'
import { asTable } from '../../src/core/table.ts'
import { ConntrackTarget } from '../../src/service/conntrack/target.ts'
import { Suspects, type Suspect } from '../../src/service/conntrack/suspects.ts'
import type { Flows } from '../../src/service/flows.ts'
import { endpoint, GONE, READY, service, slice, TERMINATING, UNREADY, type Raw } from '../contract/service-objects.ts'
import { Room } from '../contract/service-room.ts'

const [DNS, WEB, VIP] = ['10.96.0.10', '10.96.0.11', '172.30.0.200']
const [A, B, C] = ['10.244.1.10', '10.244.1.11', '10.244.2.10'] as const
const UDP = [{ port: 53, targetPort: 53, protocol: 'UDP' }]
const dns = (more: Raw = {}): Raw => service('dns', [DNS], { ports: UDP, ...more })
const states = (...endpoints: Raw[]): Raw => slice('dns-1', 'dns', endpoints, [{ port: 53, protocol: 'UDP' }])
const pods = (...addresses: string[]): Raw => states(...addresses.map((pod) => endpoint(pod)))
const web = (): Raw => service('web', [WEB], { type: 'LoadBalancer' }, { lb: [VIP] })

class World {
  readonly room = new Room()
  readonly suspects: Suspects
  readonly #cursor: Cursor<Flows>

  constructor() {
    const { flows } = this.room.services
    this.suspects = new Suspects(flows)
    this.#cursor = new Cursor(asTable(flows), 'e')
  }

  /** The delta of what changed; `from` 0 the first time, and after `lose`. */
  take(): Delta<Flows> {
    const delta = this.#take()
    if (delta === null) throw new Error('nothing changed')
    return delta
  }

  lose(): void {
    this.#cursor.recover()
  }

  /** As one apply that goes well: `udp 10.96.0.10:53 10.244.1.10:53 ...`, one text a suspect. None when nothing changed. */
  clean(): string[] {
    const delta = this.#take()
    if (delta === null) return []
    const suspects = this.suspects.of(delta)
    this.suspects.cleaned(suspects)
    return texts(suspects)
  }

  #take(): Delta<Flows> | null {
    this.room.settle()
    const delta = this.#cursor.take()
    if (delta !== null) this.#cursor.landed([])
    return delta
  }
}

const texts = (suspects: readonly Suspect[]): string[] =>
  suspects.map(({ ip, protocol, port, endpoints }) => [`${protocol} ${ip}:${port}`, ...endpoints].join(' ')).sort()

t.test('a full load: every UDP frontend with its endpoints, every TCP one for what began too early', (t) => {
  const world = new World()
  world.room.put(dns(), pods(A, B), web(), slice('web-1', 'web', [endpoint(A)]))
  t.same(world.clean(), [`tcp ${WEB}:80`, `tcp ${VIP}:80`, `udp ${DNS}:53 ${A}:53 ${B}:53`])
  t.end()
})

t.test('a change: who lost an endpoint, got the first one, or is gone; nobody else', (t) => {
  const world = new World()
  world.room.put(dns(), pods(A, B))
  world.clean()
  world.room.put(pods(A, B, C))
  t.same(world.clean(), [], 'one more')
  world.room.put(pods(A, C))
  t.same(world.clean(), [`udp ${DNS}:53 ${A}:53 ${C}:53`], 'one less')
  world.room.put(dns({ sessionAffinity: 'ClientIP' }))
  t.same(world.clean(), [], 'affinity')
  world.room.put(pods())
  t.same(world.clean(), [`udp ${DNS}:53`], 'none left')
  world.room.put(pods(B))
  t.same(world.clean(), [`udp ${DNS}:53 ${B}:53`], 'the first')
  world.room.put(web(), slice('web-1', 'web', [endpoint(A)]))
  t.same(world.clean(), [`tcp ${VIP}:80`], 'TCP: only what is reached from outside before it is there')
  world.room.drop(dns())
  t.same(world.clean(), [`udp ${DNS}:53`], 'gone')
  world.room.put(pods(A))
  t.same(world.clean(), [], 'and no more')
  t.end()
})

const zone = (name: string): Raw => ({ hints: { forZones: [{ name }] } })
const local = (): Raw => dns({ internalTrafficPolicy: 'Local' })
const now = (...endpoints: string[]): string[] => [[`udp ${DNS}:53`, ...endpoints.map((pod) => `${pod}:53`)].join(' ')]
/** A, B are on this node, in zone-a; C is not. */
const CHANGES: readonly { name: string; was: Raw[]; now: Raw[]; suspects: string[] }[] = [
  {
    name: 'it terminates and serves, others are ready: its flows stay',
    was: [dns(), pods(A, B)],
    now: [states(endpoint(A, TERMINATING), endpoint(B))],
    suspects: [],
  },
  {
    name: 'it stops serving, and was in no slot any more: they go',
    was: [dns(), states(endpoint(A, TERMINATING), endpoint(B))],
    now: [states(endpoint(A, GONE), endpoint(B))],
    suspects: now(B),
  },
  {
    name: 'it is gone, and was in no slot any more: they go',
    was: [dns(), states(endpoint(A, TERMINATING), endpoint(B))],
    now: [pods(B)],
    suspects: now(B),
  },
  {
    name: 'it turns unready: they go, but not those to who terminates',
    was: [dns(), states(endpoint(A), endpoint(B), endpoint(C, TERMINATING))],
    now: [states(endpoint(A, UNREADY), endpoint(B), endpoint(C, TERMINATING))],
    suspects: now(B, C),
  },
  {
    name: 'hints leave it to another zone: they stay',
    was: [dns(), pods(A, C)],
    now: [states(endpoint(A, READY, zone('zone-a')), endpoint(C, READY, zone('zone-b')))],
    suspects: [],
  },
  {
    name: 'it goes while hints leave it to another zone',
    was: [dns(), states(endpoint(A, READY, zone('zone-a')), endpoint(C, READY, zone('zone-b')))],
    now: [states(endpoint(A, READY, zone('zone-a')))],
    suspects: now(A),
  },
  { name: 'internalTrafficPolicy Local: they stay', was: [dns(), pods(A, C)], now: [local()], suspects: [] },
  { name: 'and if nobody is here', was: [dns(), pods(C)], now: [local()], suspects: [] },
  { name: 'the first one here', was: [local(), pods(C)], now: [pods(A, C)], suspects: now(A, C) },
  { name: 'and by policy', was: [local(), pods(C)], now: [dns()], suspects: now(C) },
  {
    name: 'publishNotReadyAddresses: whatever their state, they stay',
    was: [dns({ publishNotReadyAddresses: true }), pods(A, B, C)],
    now: [states(endpoint(A, UNREADY), endpoint(B, GONE), endpoint(C, TERMINATING))],
    suspects: [],
  },
  {
    name: 'and when that ends, those to who does not serve go',
    was: [dns({ publishNotReadyAddresses: true }), states(endpoint(A, UNREADY), endpoint(B, TERMINATING))],
    now: [dns()],
    suspects: now(B),
  },
  {
    name: 'the address moves to another Service',
    was: [dns(), pods(A), slice('other-1', 'other', [endpoint(B)], [{ port: 53, protocol: 'UDP' }])],
    now: [dns({ clusterIP: '10.96.0.20', clusterIPs: ['10.96.0.20'] }), service('other', [DNS], { ports: UDP })],
    suspects: [...now(B), `udp 10.96.0.20:53 ${A}:53`],
  },
  {
    name: 'another port of the same endpoint',
    was: [dns(), pods(A)],
    now: [slice('dns-1', 'dns', [endpoint(A)], [{ port: 54, protocol: 'UDP' }])],
    suspects: [`udp ${DNS}:53 ${A}:54`],
  },
  { name: 'another order', was: [dns(), pods(A, B, C)], now: [pods(C, A, B)], suspects: [] },
  {
    name: 'TCP: an endpoint that goes',
    was: [web(), slice('web-1', 'web', [endpoint(A), endpoint(B)])],
    now: [slice('web-1', 'web', [endpoint(B)])],
    suspects: [],
  },
]

for (const each of CHANGES) {
  t.test(each.name, (t) => {
    const world = new World()
    world.room.put(...each.was)
    world.clean()
    world.room.put(...each.now)
    t.same(world.clean(), each.suspects)
    t.end()
  })
}

t.test('among thousands', (t) => {
  const world = new World()
  const many = Array.from({ length: 300 }, (_, i) => `10.244.3.${i % 250}`.replace('.3.', i < 250 ? '.3.' : '.4.'))
  world.room.put(dns(), pods(...many))
  world.clean()
  world.room.put(pods(...many.with(150, A)))
  t.same(world.clean(), now(...many.with(150, A)))
  world.room.put(pods(...many.with(150, A), B))
  t.same(world.clean(), [], 'one more')
  t.end()
})

t.test('what failed is looked at again: also frontends that went meanwhile', (t) => {
  const world = new World()
  world.room.put(dns(), pods(A, B))
  world.clean()
  world.room.drop(dns())
  t.same(texts(world.suspects.of(world.take())), [`udp ${DNS}:53`], 'this one fails')
  world.lose()
  // Comes and goes while nobody takes a delta: served all the same.
  world.room.put(service('short', ['10.96.0.12'], { ports: UDP }))
  world.room.put(slice('short-1', 'short', [endpoint(A)], [{ port: 53, protocol: 'UDP' }]))
  world.room.settle()
  world.room.drop(service('short', ['10.96.0.12']))
  t.same(world.clean(), [`udp ${DNS}:53`, 'udp 10.96.0.12:53'])
  world.lose()
  t.same(world.clean(), [], 'cleaned: forgotten')
  t.end()
})

t.test('what was served before this process, and no more is', (t) => {
  const world = new World()
  world.room.put(dns(), pods(A))
  world.room.settle()
  const before = [
    { ip: DNS, protocol: 'udp', port: 53 },
    { ip: DNS, protocol: 'udp', port: 54 },
    { ip: '172.30.0.11', protocol: 'udp', port: 30053 },
  ] as const
  const gone = world.suspects.inherit(before)
  t.same(texts(gone), [`udp ${DNS}:54`, 'udp 172.30.0.11:30053'])
  t.same(world.clean(), [`udp ${DNS}:53 ${A}:53`, `udp ${DNS}:54`, 'udp 172.30.0.11:30053'], 'not cleaned yet: again')
  world.lose()
  t.same(world.clean(), [`udp ${DNS}:53 ${A}:53`])
  t.end()
})

t.test('an endpoint that is back before the flows are looked at is no reason', (t) => {
  const world = new World()
  world.room.put(dns(), pods(A, B))
  world.clean()
  world.room.put(pods(A))
  const delta = world.take()
  world.room.put(pods(A, B))
  world.room.settle()
  t.same(texts(world.suspects.of(delta)), [])
  t.end()
})

t.test('nothing is looked at before the rules hold what was decided', async (t) => {
  const { flows } = new Room().services
  const rules = Promise.withResolvers<void>()
  let asked = 0
  let isDone = false
  const target = new ConntrackTarget({ flows, programmed: () => (asked++, rules.promise), onCleaned() {} })
  const cursor = new Cursor(asTable(flows), 'e')
  const done = target.apply(cursor.take()!, new AbortController().signal).then(() => (isDone = true))
  await new Promise((resolve) => setImmediate(resolve))
  t.same([asked, isDone], [1, false])
  rules.resolve()
  await done
  const ended = AbortSignal.abort(new Error('the end'))
  const never = new ConntrackTarget({ flows, programmed: () => new Promise(() => {}), onCleaned() {} })
  cursor.lost()
  await t.rejects(never.apply(cursor.take()!, ended), { message: 'the end' })
})
