/** What goes wrong between an agent and a real API server: restarts, lost history, cut and dead connections. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Copies, type KindState } from '../../src/cluster/source/kube.ts'
import type { ApiServer } from '../cluster/apiserver.ts'
import { startProxy } from '../cluster/proxy.ts'
import { adminSettings, sharedApiServer, SLICES, startWorld } from './kubeworld.ts'
import { slice } from './source.ts'

const api = await sharedApiServer(t)
if (api !== null) tests(api)

function tests(api: ApiServer): void {
  t.test('a list in pages', async (t) => {
    await fill(api, 'page', 100)
    const world = startWorld(t, await adminSettings(api), { limit: 10 })
    await world.until('synced', () => world.tables.slices.synced)
    const names = [...world.tables.slices.entries()].filter(([key]) => key.startsWith('default/page-'))
    t.equal(names.length, 100)
    t.equal(world.tables.slices.number, 2, 'one commit for all pages, one for synced')
    await clear(api, 'page')
    await world.until(
      'deletions arrive',
      () => ![...world.tables.slices.entries()].some(([key]) => key.includes('/page-')),
    )
  })

  t.test('the API server restarts', async (t) => {
    await put(api, 'kept')
    const world = startWorld(t, await adminSettings(api))
    await world.until('listed', () => world.tables.slices.has('default/kept'))
    const row = world.tables.slices.get('default/kept')
    await api.restart(async () => {
      await world.until('it says why, and tries again', () => {
        const { phase, problem } = world.state('EndpointSlice')
        return phase === 'retrying' && problem?.status === null && /127\.0\.0\.1/.test(problem.message)
      })
      t.ok(world.tables.slices.has('default/kept'), 'rows stay meanwhile')
    })
    await put(api, 'after-restart')
    await world.until('news arrive again', () => world.tables.slices.has('default/after-restart'))
    t.equal(world.tables.slices.get('default/kept'), row, 'the very row')
    // It may have come with a list; the watch is then yet to be opened.
    await world.until('and all is well', () => {
      const { phase, problem, failures } = world.state('EndpointSlice')
      return phase === 'watching' && problem === null && failures === 0
    })
    await clear(api)
  })

  t.test('history is gone (410): listed again in place, without a gap', async (t) => {
    const proxy = await startProxy(api)
    t.teardown(() => proxy.close())
    for (const name of ['same-1', 'same-2', 'goes']) await put(api, name)
    const world = startWorld(t, await adminSettings(api, proxy.address))
    const { slices } = world.tables
    await world.until('listed', () => slices.has('default/goes') && world.state('EndpointSlice').phase === 'watching')
    const rows = ['same-1', 'same-2'].map((name) => slices.get(`default/${name}`))
    const before = slices.number
    proxy.shut()
    await api.call('DELETE', `${SLICES}/goes`)
    await put(api, 'comes')
    await api.restart(() => api.etcd.compact())
    proxy.open()
    await world.until('what came is there', () => slices.has('default/comes'))
    t.notOk(slices.has('default/goes'), 'and in the same moment what went is gone')
    t.equal(slices.number, before + 1, 'in one commit')
    t.equal(world.state('EndpointSlice').lists, 2, 'by a second list')
    t.same(
      ['same-1', 'same-2'].map((name) => slices.get(`default/${name}`) === rows.shift()),
      [true, true],
    )
    await put(api, 'later')
    await world.until('and watched on', () => slices.has('default/later'))
    t.equal(world.state('EndpointSlice').lists, 2)
    await clear(api)
  })

  t.test('a watch that is cut in the middle of a frame', async (t) => {
    const proxy = await startProxy(api, { tls: true })
    t.teardown(() => proxy.close())
    const world = startWorld(t, await adminSettings(api, `http://${proxy.address}`))
    const { slices } = world.tables
    await world.until('watching', () => world.state('EndpointSlice').phase === 'watching')
    const commits = slices.number
    proxy.cutAfter('"name":"halved"', 20)
    await put(api, 'halved', ['192.0.2.1', '192.0.2.2'])
    await world.until('it comes all the same', () => slices.get('default/halved')?.endpoints.count === 2)
    t.equal(slices.number, commits + 1, 'once')
    t.equal(world.state('EndpointSlice').lists, 1, 'by resuming, not by a list')
    t.ok(proxy.accepted() >= 3, 'on a new connection')
    await clear(api)
  })

  for (const tls of [false, true]) {
    t.test(`a connection whose other end is silent, ${tls ? 'HTTP/1.1' : 'HTTP/2'}`, async (t) => {
      const proxy = await startProxy(api, { tls })
      t.teardown(() => proxy.close())
      const server = tls ? `http://${proxy.address}` : proxy.address
      // A twelfth of the time it takes in earnest; the shortest watch that can be asked for is a second.
      const world = startWorld(t, await adminSettings(api, server), { silenceMs: 2_000 })
      await world.until('watching', () => world.state('EndpointSlice').phase === 'watching')
      const { problem } = world.state('EndpointSlice')
      t.equal(problem, null)
      proxy.hold()
      await put(api, 'unheard')
      await world.until('found, and made anew', () => world.tables.slices.has('default/unheard'))
      t.equal(world.state('EndpointSlice').lists, 1, 'by resuming')
      await clear(api)
    })
  }

  t.test('connections that are only quiet are left alone', async (t) => {
    const quiet = async (tls: boolean): Promise<void> => {
      const proxy = await startProxy(api, { tls })
      t.teardown(() => proxy.close())
      const settings = await adminSettings(api, tls ? `http://${proxy.address}` : proxy.address)
      const problems: unknown[] = []
      const onState = ({ problem }: KindState) => problem && problems.push(problem)
      const world = startWorld(t, settings, { silenceMs: SILENCE_MS, onState })
      await world.until('watching', () => world.state('EndpointSlice').phase === 'watching')
      problems.splice(0)
      const opened = proxy.accepted()
      const until = performance.now() + 2.5 * SILENCE_MS
      await world.until('two and a half times as long as a dead one would last', () => performance.now() > until)
      t.same(problems, [], tls ? 'HTTP/1.1' : 'HTTP/2')
      if (!tls) t.equal(proxy.accepted(), opened, 'the same connection')
    }
    await Promise.all([quiet(false), quiet(true)])
  })

  t.test('the API server is away at the start: the copy on disk', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'kube-copies-'))
    t.teardown(() => rm(folder, { recursive: true }))
    const copies = new Copies(folder, 'test', { everyMs: 10 })
    const proxy = await startProxy(api)
    t.teardown(() => proxy.close())
    for (const name of ['copied', 'outdated']) await put(api, name)
    const first = startWorld(t, await adminSettings(api, proxy.address), { copies })
    await first.until('listed', () => first.tables.slices.has('default/outdated'))
    await first.stop()
    proxy.shut()
    await api.call('DELETE', `${SLICES}/outdated`)

    // Because the list failed, not because it took long.
    const options = { copies, copyAfterMs: 3_600_000 }
    const second = startWorld(t, await adminSettings(api, proxy.address), options)
    await second.until('synced from the copy', () => second.tables.slices.synced && second.tables.services.synced)
    t.match(second.state('EndpointSlice'), { stale: true, lists: 0 })
    t.same(second.tables.slices.get('default/copied'), first.tables.slices.get('default/copied'))
    t.ok(second.tables.slices.has('default/outdated'))
    t.same([...second.tables.slices.keysBy('service', 'default/one')].sort(), ['default/copied', 'default/outdated'])
    const kept = second.tables.slices.get('default/copied')
    proxy.open()
    await second.until('the truth replaces it', () => !second.tables.slices.has('default/outdated'))
    t.match(second.state('EndpointSlice'), { stale: false, lists: 1 })
    t.equal(second.tables.slices.get('default/copied'), kept, 'what was right is the very row')
    await clear(api)
  })

  t.test('a stale copy is not used when the API server answers', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'kube-copies-'))
    t.teardown(() => rm(folder, { recursive: true }))
    const copies = new Copies(folder, 'test', { everyMs: 10 })
    await put(api, 'outdated')
    const first = startWorld(t, await adminSettings(api), { copies })
    await first.until('listed', () => first.tables.slices.has('default/outdated'))
    await first.stop()
    await clear(api)
    const seen = new Set<boolean>()
    const onState = ({ stale }: KindState) => seen.add(stale)
    // On a busy machine a list may take longer than it may in earnest.
    const second = startWorld(t, await adminSettings(api), { copies, onState, copyAfterMs: 3_600_000 })
    await second.until('synced', () => second.tables.slices.synced && second.tables.services.synced)
    t.notOk(second.tables.slices.has('default/outdated'))
    t.same([...seen], [false])
  })
}

async function put(api: ApiServer, name: string, addresses?: readonly string[]): Promise<void> {
  await api.call('POST', SLICES, slice(name, 'one', addresses))
}

async function fill(api: ApiServer, prefix: string, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, i) => put(api, `${prefix}-${i}`)))
}

/** Removes the slices whose name starts with `prefix` (all of them by default). */
async function clear(api: ApiServer, prefix = ''): Promise<void> {
  const { items } = await api.call('GET', SLICES)
  for (const { metadata } of items)
    if (metadata.name.startsWith(prefix)) await api.call('DELETE', `${SLICES}/${metadata.name}`)
}

/** Long enough for an API server that does not get to run for a while. */
const SILENCE_MS = 10_000
