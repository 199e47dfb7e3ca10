/**
 * What every source promises, as one list of cases. A harness changes the world a source looks at (files, an API server,
 * nothing but memory); the cases look at the tables only, and only at objects of their own.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { createInlets, createTables, type Tables } from '../../src/cluster/tables.ts'
import type { AnyInlet } from '../../src/cluster/inlet.ts'

/** A Kubernetes object as JSON. */
export type Object_ = {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Record<string, string> }
  readonly [field: string]: unknown
}

export interface Harness {
  /** Begins to fill the tables. Called once, after the first puts. */
  start(): Promise<void>
  /** Makes the world have this object, as new or changed. */
  put(object: Object_): Promise<void>
  /** Makes the world not have this object. */
  drop(object: Object_): Promise<void>
  /** Makes the source list everything anew although nothing changed. */
  relist(): Promise<void>
  /** Runs `change` while the source cannot see the world. Absent: this source is never away. */
  away?(change: () => Promise<void>): Promise<void>
  /** Stops the source and removes what the case put into the world. */
  stop(): Promise<void>
}

/** The source fills these inlets: Services, EndpointSlices and Nodes. */
export type MakeHarness = (t: Test, inlets: readonly AnyInlet[], tables: Tables) => Promise<Harness>

export function contract(t: Test, name: string, makeHarness: MakeHarness): void {
  for (const [title, run] of Object.entries(cases)) {
    t.test(`${name}: ${title}`, async (t) => {
      const tables = createTables()
      const { services, slices, nodes } = createInlets(tables)
      const harness = await makeHarness(t, [services, slices, nodes], tables)
      try {
        await run({ t, tables, harness, until: (what, condition) => until(t, what, condition) })
      } finally {
        await harness.stop()
      }
    })
  }
}

/** Waits for a condition; fails the test when it does not come. */
export async function until(t: Test, what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS
  while (!condition()) {
    if (performance.now() > deadline) {
      t.fail(`not within ${DEADLINE_MS} ms: ${what}`)
      return
    }
    await sleep(LOOK_MS)
  }
  t.pass(what)
}

interface Case {
  readonly t: Test
  readonly tables: Tables
  readonly harness: Harness
  readonly until: (what: string, condition: () => boolean) => Promise<void>
}

const cases: Readonly<Record<string, (it: Case) => Promise<void>>> = {
  'the first list, then synced': async ({ t, tables, harness, until }) => {
    await harness.put(service('one'))
    await harness.put(slice('one-abc', 'one'))
    t.notOk(tables.services.synced, 'not before it starts')
    await harness.start()
    await until('all kinds are synced', () => synced(tables))
    t.match(tables.services.get('default/one'), { namespace: 'default', name: 'one' })
    t.match(tables.slices.get('default/one-abc'), { service: 'one', endpoints: { addresses: '192.0.2.1' } })
    t.equal(tables.nodes.get('one'), undefined)
  },

  'an empty list is synced too': async ({ tables, harness, until }) => {
    await harness.start()
    await until('all kinds are synced', () => synced(tables))
  },

  'add, change, delete': async ({ t, tables, harness, until }) => {
    await harness.start()
    await until('synced', () => synced(tables))
    await harness.put(slice('added', 'one'))
    await until('it is added', () => tables.slices.has('default/added'))
    await harness.put(slice('added', 'one', ['192.0.2.7', '192.0.2.8']))
    await until('it is changed', () => tables.slices.get('default/added')?.endpoints.count === 2)
    await harness.drop(slice('added', 'one'))
    await until('it is gone', () => !tables.slices.has('default/added'))
    t.same([...tables.slices.keysBy('service', 'default/one')], [], 'from the index, too')
  },

  'objects without a namespace': async ({ tables, harness, until }) => {
    await harness.put(node('fl-node-1', 'z-a'))
    await harness.start()
    await until('it is listed', () => tables.nodes.get('fl-node-1')?.zone === 'z-a')
    await harness.put(node('fl-node-1', 'z-b'))
    await until('it is changed', () => tables.nodes.get('fl-node-1')?.zone === 'z-b')
    await harness.drop(node('fl-node-1', 'z-b'))
    await until('it is gone', () => !tables.nodes.has('fl-node-1'))
  },

  'a key that comes back': async ({ t, tables, harness, until }) => {
    await harness.put(slice('again', 'one'))
    await harness.start()
    await until('it is listed', () => tables.slices.has('default/again'))
    for (const address of ['192.0.2.21', '192.0.2.22']) {
      await harness.drop(slice('again', 'one'))
      await harness.put(slice('again', 'two', [address]))
      await until(`it is back with ${address}`, () => {
        return tables.slices.get('default/again')?.endpoints.addresses === address
      })
    }
    t.same([...tables.slices.keysBy('service', 'default/two')], ['default/again'])
  },

  'a list of nothing new changes nothing': async ({ t, tables, harness, until }) => {
    const names = ['r1', 'r2', 'r3']
    for (const name of names) await harness.put(slice(name, 'one'))
    await harness.put(service('one'))
    await harness.start()
    await until('listed', () => synced(tables) && names.every((name) => tables.slices.has(`default/${name}`)))
    const rows = names.map((name) => tables.slices.get(`default/${name}`))
    const { number } = tables.slices
    await harness.relist()
    // Whatever the relist brings has come when a later change has.
    await harness.put(slice('later', 'one'))
    await until('a later change is seen', () => tables.slices.has('default/later'))
    for (const [i, name] of names.entries()) t.equal(tables.slices.get(`default/${name}`), rows[i], 'the very row')
    t.equal(tables.slices.number, number + 1, 'no commit but that of the change')
  },

  'what happens while it is away': async ({ t, tables, harness, until }) => {
    if (harness.away === undefined) {
      t.pass('never away')
      return
    }
    for (const name of ['stays', 'goes', 'changes']) await harness.put(slice(name, 'one'))
    await harness.start()
    await until(
      'listed',
      () => synced(tables) && ['stays', 'goes', 'changes'].every((it) => tables.slices.has(`default/${it}`)),
    )
    const stays = tables.slices.get('default/stays')
    await harness.away(async () => {
      await harness.drop(slice('goes', 'one'))
      await harness.put(slice('changes', 'one', ['192.0.2.99']))
      await harness.put(slice('comes', 'one'))
    })
    await until('what went is gone', () => !tables.slices.has('default/goes'))
    await until('what came is there', () => tables.slices.has('default/comes'))
    await until('what changed is new', () => tables.slices.get('default/changes')?.endpoints.addresses === '192.0.2.99')
    t.equal(tables.slices.get('default/stays'), stays, 'what stayed is the very row')
  },

  // Only such objects as a real API server accepts too.
  'an object that cannot be used harms no other': async ({ t, tables, harness, until }) => {
    await harness.put(slice('good-1', 'one'))
    await harness.put(names('unusable'))
    await harness.put(slice('good-2', 'one'))
    await harness.start()
    await until('synced', () => synced(tables))
    t.ok(tables.slices.has('default/good-1') && tables.slices.has('default/good-2'), 'the others are there')
    t.notOk(tables.slices.has('default/unusable'))
    t.match(complaints(tables, 'EndpointSlice default/unusable'), [{ field: 'addressType' }])
    await harness.put(names('unusable-2'))
    await until('so with a later one', () => complaints(tables, 'EndpointSlice default/unusable-2').length === 1)
    await harness.drop(names('unusable'))
    await until('the complaint goes with it', () => complaints(tables, 'EndpointSlice default/unusable').length === 0)
    t.equal(complaints(tables, 'EndpointSlice default/unusable-2').length, 1, 'and no other')
  },

  'an object that is mended': async ({ t, tables, harness, until }) => {
    const { labels: _, ...metadata } = slice('stray', 'one').metadata
    await harness.put({ ...slice('stray', 'one'), metadata })
    await harness.start()
    await until('it is complained about', () => complaints(tables, 'EndpointSlice default/stray').length === 1)
    t.equal(tables.slices.get('default/stray')?.service, '', 'and there')
    await harness.put(slice('stray', 'one'))
    await until('it is mended', () => tables.slices.get('default/stray')?.service === 'one')
    t.same(complaints(tables, 'EndpointSlice default/stray'), [], 'no complaint is left')
  },

  'a complaint about something that is gone after a relist': async ({ t, tables, harness, until }) => {
    if (harness.away === undefined) {
      t.pass('never away')
      return
    }
    await harness.put(names('fleeting'))
    await harness.start()
    await until('it is complained about', () => complaints(tables, 'EndpointSlice default/fleeting').length === 1)
    await harness.away(() => harness.drop(names('fleeting')))
    await until('the complaint is gone', () => complaints(tables, 'EndpointSlice default/fleeting').length === 0)
  },

  'a burst of changes ends in the last state': async ({ tables, harness, until }) => {
    await harness.start()
    await until('synced', () => synced(tables))
    for (let i = 1; i <= 20; i++) await harness.put(slice(`burst-${i % 3}`, 'one', [`192.0.2.${i}`]))
    const last = (name: string) => tables.slices.get(`default/${name}`)?.endpoints.addresses
    await until('each is as it was put last', () => {
      return last('burst-0') === '192.0.2.18' && last('burst-1') === '192.0.2.19' && last('burst-2') === '192.0.2.20'
    })
  },

  'it ends when told to, and then is silent': async ({ t, tables, harness, until }) => {
    await harness.put(service('one'))
    await harness.start()
    await until('synced', () => synced(tables) && tables.services.has('default/one'))
    const { number } = tables.services
    await harness.stop()
    t.equal(tables.services.number, number, 'ending changes nothing')
    t.ok(tables.services.has('default/one'), 'rows stay')
  },
}

const synced = ({ services, slices, nodes }: Tables) => services.synced && slices.synced && nodes.synced

const complaints = (tables: Tables, object: string) =>
  [...tables.rejections.entries()].map(([, row]) => row).filter((row) => row.object === object)

export const service = (name: string): Object_ => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'default' },
  spec: { ports: [{ name: 'http', port: 80 }] },
})

export const slice = (name: string, owner: string, addresses: readonly string[] = ['192.0.2.1']): Object_ => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name, namespace: 'default', labels: { 'kubernetes.io/service-name': owner } },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  endpoints: addresses.map((address) => ({ addresses: [address] })),
})

/** A slice that is legal, and of no use to a data plane. */
const names = (name: string): Object_ => ({
  ...slice(name, 'one'),
  addressType: 'FQDN',
  endpoints: [{ addresses: ['example.com'] }],
})

export const node = (name: string, zone: string): Object_ => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels: { 'topology.kubernetes.io/zone': zone } },
})

const DEADLINE_MS = 60_000
const LOOK_MS = 2
