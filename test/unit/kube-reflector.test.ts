/** What the reflector does with answers that a real API server seldom gives. */
import t, { type Test } from 'tap'
import { createInlets, createTables, type Tables } from '../../src/cluster/tables.ts'
import { Backoff } from '../../src/cluster/source/kube/backoff.ts'
import type { Answer, Connection } from '../../src/cluster/source/kube/connection.ts'
import { explain, fromError, fromStatus, needsList } from '../../src/cluster/source/kube/problem.ts'
import { Reflector, type KindState } from '../../src/cluster/source/kube/reflector.ts'
import * as kind from '../../src/cluster/kind.ts'

t.test('a page token that has expired: once more in one piece', async (t) => {
  const { tables, asked } = await play(t, [
    list({ resourceVersion: '5', continue: 'next' }, [node('a')]),
    status(410),
    list({ resourceVersion: '6' }, [node('b')]),
    'hang',
  ])
  t.same(
    [...tables.nodes.entries()].map(([key]) => key),
    ['b'],
    'nothing of the first try',
  )
  t.same(
    asked.map(({ path, query }) => [path, query['limit'], query['continue'], query['watch']]),
    [
      ['/api/v1/nodes', '2', undefined, undefined],
      ['/api/v1/nodes', '2', 'next', undefined],
      ['/api/v1/nodes', undefined, undefined, undefined],
      ['/api/v1/nodes', undefined, undefined, '1'],
    ],
  )
})

t.test('pages of different revisions: watched from the first, so that nothing is missed', async (t) => {
  const { tables, asked } = await play(t, [
    list({ resourceVersion: '5', continue: 'next' }, [node('a')]),
    list({ resourceVersion: '8' }, [node('b')]),
    'hang',
  ])
  t.equal(tables.nodes.size, 2)
  t.equal(asked[2]?.query['resourceVersion'], '5')
})

t.test('a list that is cut short changes nothing', async (t) => {
  const { tables, states } = await play(t, [
    body('{"metadata":{"resourceVersion":"1"},"items":[{"metadata":{"na'),
    'hang',
  ])
  t.equal(tables.nodes.size, 0)
  t.notOk(tables.nodes.synced)
  t.ok(states.some(({ problem }) => /cut short/.test(problem?.message ?? '')))
})

t.test('events, bookmarks, and where the next watch begins', async (t) => {
  const { tables, asked } = await play(t, [
    list({ resourceVersion: '5' }, [node('a')]),
    events(event('ADDED', 'b', '6'), event('DELETED', 'a', '7'), {
      type: 'BOOKMARK',
      object: { metadata: { resourceVersion: '9' } },
    }),
    events(event('MODIFIED', 'b', '10', 'z')),
    'hang',
  ])
  t.equal(tables.nodes.get('b')?.zone, 'z')
  t.notOk(tables.nodes.has('a'))
  t.same(
    asked.map(({ query }) => query['resourceVersion']),
    [undefined, '5', '9', '10'],
  )
  t.match(asked[1]?.query, { allowWatchBookmarks: 'true', timeoutSeconds: /^\d+$/ })
})

t.test('an event that is cut off is not told, and asked for again', async (t) => {
  const whole = JSON.stringify(event('ADDED', 'b', '6'))
  const { asked } = await play(t, [list({ resourceVersion: '5' }, []), body(whole.slice(0, -3)), 'hang'])
  t.equal(asked[2]?.query['resourceVersion'], '5')
})

for (const [name, answer] of [
  ['410 as an answer', status(410)],
  ['410 as an event', events({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } })],
  ['a revision of the future (504)', events({ type: 'ERROR', object: { kind: 'Status', code: 504 } })],
  ['an event that is not JSON', body('{"type":"ADDED","object"\n')],
  ['an event of an unknown type', events({ type: 'MOVED', object: node('x') })],
  ['an event without a revision', events({ type: 'ADDED', object: { metadata: { name: 'x' } } })],
] as const) {
  t.test(`listed again: ${name}`, async (t) => {
    const { tables, asked } = await play(t, [
      list({ resourceVersion: '5' }, [node('a'), node('stays')]),
      answer,
      list({ resourceVersion: '8' }, [node('b'), node('stays')]),
      'hang',
    ])
    t.same([...tables.nodes.entries()].map(([key]) => key).sort(), ['b', 'stays'])
    t.equal(asked[3]?.query['resourceVersion'], '8')
  })
}

t.test('resumed, not listed: what the server will get over', async (t) => {
  const refused: Answer = { kind: 'failed', problem: fromError(new Error('refused'), 'x') }
  const { asked } = await play(t, [
    list({ resourceVersion: '5' }, []),
    status(500),
    status(429),
    status(401),
    refused,
    'hang',
  ])
  t.same(
    asked.slice(1).map(({ query }) => query['resourceVersion']),
    ['5', '5', '5', '5', '5'],
  )
})

t.test('a server that closes each watch at once is not asked in a tight loop', async (t) => {
  const { states } = await play(t, [list({ resourceVersion: '5' }, []), events(), events(), 'hang'])
  t.equal(states.filter(({ phase }) => phase === 'retrying').length, 2)
})

t.test('optional kinds that are not there are empty, and still looked for', async (t) => {
  const { tables, states } = await play(t, [status(404)], kind.serviceCIDRs)
  t.ok(tables.serviceCIDRs.synced)
  t.match(states.at(-2), { phase: 'retrying', problem: { message: /no servicecidrs in networking\.k8s\.io\/v1/ } })
})

t.test('backoff: full jitter, doubling, bounded', async (t) => {
  const longest = new Backoff({ random: () => 1 })
  t.same(
    Array.from({ length: 8 }, () => longest.next()),
    [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000],
  )
  for (let i = 0; i < 2000; i++) longest.next()
  t.equal(longest.next(), 30_000)
  longest.reset()
  t.equal(longest.next(), 500)
  t.equal(new Backoff({ random: () => 0 }).next(), 0)
})

t.test('problems say what to do', async (t) => {
  t.match(
    explain(fromStatus(403, {}), 'watch', kind.endpointSlices).remedy,
    '"watch" on endpointslices in apiGroup discovery.k8s.io',
  )
  t.match(explain(fromStatus(403, {}), 'list', kind.services).remedy, '"list" on services in the core API group')
  t.equal(fromStatus(429, { details: { retryAfterSeconds: 3 } }).retryAfterMs, 3000)
  t.equal(fromStatus(429, '', '7').retryAfterMs, 7000)
  t.equal(fromStatus(503, 'x', '99999').retryAfterMs, 60_000, 'bounded')
  t.match(fromError(Object.assign(new Error('no'), { code: 'ECONNREFUSED' }), 's').remedy, /running/)
  t.match(fromError(new DOMException('late', 'TimeoutError'), 's').message, 's: late')
  t.same(
    [null, 200, 401, 410, 429, 500, 504].map((code) => needsList({ ...fromStatus(0, ''), status: code })),
    [...[false, false, false, true, false, false, true]],
  )
})

interface Asked {
  readonly path: string
  readonly query: Readonly<Record<string, string>>
}

/** Gives one answer after the other, then stops. */
async function play(
  t: Test,
  answers: readonly (Answer | 'hang')[],
  of: kind.Kind<any> = kind.nodes,
): Promise<{ tables: Tables; asked: Asked[]; states: KindState[] }> {
  const tables = createTables()
  const inlet = Object.values(createInlets(tables)).find(({ kind }) => kind === of)!
  const abort = new AbortController()
  const asked: Asked[] = []
  const states: KindState[] = []
  const connection: Connection = {
    server: 'x',
    watchSeconds: () => 300,
    close: async () => {},
    request: async (path) => {
      const url = new URL(path, 'http://x')
      asked.push({ path: url.pathname, query: Object.fromEntries(url.searchParams) })
      const answer = answers[asked.length - 1] ?? 'hang'
      if (answer !== 'hang') return answer
      abort.abort()
      return { kind: 'failed', problem: fromError(new Error('stopped'), 'x') }
    },
  }
  const backoff = new Backoff({ random: () => 0 })
  const onState = (state: KindState): void => {
    states.push(state)
    if (state.problem?.status === 404) abort.abort() // it would wait for a minute
  }
  const reflector = new Reflector({
    ...{ connection, inlet, selector: {}, limit: 2, signal: abort.signal, backoff, onState },
    now: () => 0, // a watch that lives long because the machine is busy would count as a success
  })
  await reflector.run()
  t.equal(reflector.state.phase, 'stopped')
  return { tables, asked, states }
}

function body(...parts: string[]): Answer {
  return {
    kind: 'ok',
    body: (async function* () {
      for (const part of parts) yield Buffer.from(part)
    })(),
  }
}

function list(metadata: object, items: object[]): Answer {
  return body(JSON.stringify({ metadata, items }))
}

function events(...events: object[]): Answer {
  return body(...events.map((event) => `${JSON.stringify(event)}\n`))
}

function status(code: number): Answer {
  return { kind: 'failed', problem: fromStatus(code, { kind: 'Status', code }) }
}

function node(name: string, zone?: string): object {
  return { metadata: { name, ...(zone && { labels: { 'topology.kubernetes.io/zone': zone } }) } }
}

function event(type: string, name: string, resourceVersion: string, zone?: string): object {
  const object = node(name, zone) as { metadata: object }
  return { type, object: { metadata: { ...object.metadata, resourceVersion } } }
}
