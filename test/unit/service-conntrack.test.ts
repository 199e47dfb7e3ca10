/** Which frontends' flows are looked at, for a delta; the kernel's part is in test/netns/service-udp.test.ts. */
import t from 'tap'
import { Cursor } from '../../src/core/cursor.ts'
import type { Delta } from '../../src/core/delta.ts'
import type { Table } from '../../src/core/table.ts'
import { Suspects, type Suspect } from '../../src/service/conntrack/suspects.ts'
import type { ServiceRow } from '../../src/service/rows.ts'
import { endpoint, service, slice, type Raw } from '../contract/service-objects.ts'
import { Room } from '../contract/service-room.ts'

const [DNS, WEB, VIP] = ['10.96.0.10', '10.96.0.11', '172.30.0.200']
const [A, B, C] = ['10.244.1.10', '10.244.1.11', '10.244.2.10'] as const
const UDP = [{ port: 53, targetPort: 53, protocol: 'UDP' }]
const dns = (more: Raw = {}): Raw => service('dns', [DNS], { ports: UDP, ...more })
const pods = (...addresses: string[]): Raw =>
  slice('dns-1', 'dns', addresses.map((pod) => endpoint(pod)), [{ port: 53, protocol: 'UDP' }]) // prettier-ignore
const web = (): Raw => service('web', [WEB], { type: 'LoadBalancer' }, { lb: [VIP] })

class World {
  readonly room = new Room()
  readonly suspects: Suspects
  readonly #cursor: Cursor<ServiceRow>

  constructor() {
    const rows = this.room.services.rows
    this.suspects = new Suspects(rows)
    this.#cursor = new Cursor(rows as Table<ServiceRow>, 'e')
  }

  /** The delta of what changed; `from` 0 the first time, and after `lose`. */
  take(): Delta<ServiceRow> {
    this.room.settle()
    const delta = this.#cursor.take()
    if (delta === null) throw new Error('nothing changed')
    this.#cursor.landed([])
    return delta
  }

  lose(): void {
    this.#cursor.recover()
  }

  /** As one apply that goes well: `10.96.0.10:53 10.244.1.10:53 ...`, one text a suspect. */
  clean(): string[] {
    const delta = this.take()
    const suspects = this.suspects.of(delta)
    this.suspects.cleaned(delta, suspects)
    return texts(suspects)
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
  t.throws(() => world.take(), 'and no more')
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
