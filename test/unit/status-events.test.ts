import t from 'tap'
import type { Rejection } from '../../src/cluster/rejection.ts'
import type { ClusterEvent, Posted } from '../../src/cluster/source/kube/events.ts'
import type { Event } from '../../src/core/progress.ts'
import { InputTable } from '../../src/core/table.ts'
import { problemEvents } from '../../src/status/events.ts'
import { createLog } from '../../src/status/log.ts'
import { Observer } from '../../src/status/observer.ts'
import { sayRejections } from '../../src/status/rejections.ts'

const rejection = (object: string, problem = 'is bad') => ({ object, field: 'spec.x', problem, remedy: 'mend it' })

/** `answers`: to the first ones; then all are posted. */
function poster(...answers: Posted[]) {
  const posted: ClusterEvent[] = []
  const post = (event: ClusterEvent): Promise<Posted> => {
    const answer = answers.shift() ?? { kind: 'posted' }
    posted.push(event)
    return Promise.resolve(answer)
  }
  return { posted, post }
}

t.test('each problem once while it lasts, again when it comes back', (t) => {
  const { posted, post } = poster()
  const events = problemEvents('n1', post)
  const a = rejection('Service shop/web')
  events.tell([a, a], [])
  events.tell([a], [])
  t.strictSame(posted.splice(0), [
    {
      regarding: { apiVersion: 'v1', kind: 'Service', namespace: 'shop', name: 'web' },
      ...{ type: 'Warning', reason: 'Rejected', message: 'spec.x: is bad: mend it' },
    },
  ])
  events.tell([a, rejection('Service shop/web', 'is worse')], [])
  t.match(posted.splice(0), [{ message: 'spec.x: is worse: mend it' }])
  events.tell([], [])
  events.tell([a], [])
  t.equal(posted.splice(0).length, 1, 'it came back')
  t.end()
})

t.test('what could not be posted is posted later, while it lasts', async (t) => {
  const problem = { status: 503, message: 'no', remedy: 'wait', retryAfterMs: null }
  const { posted, post } = poster({ kind: 'too many' }, { kind: 'failed', problem }, { kind: 'counted' })
  let now = 0
  const events = problemEvents('n1', post, () => now)
  const tell = async (): Promise<number> => {
    events.tell([rejection('Service shop/web')], [])
    await new Promise(setImmediate)
    return posted.length
  }
  t.equal(await tell(), 1)
  t.equal(await tell(), 2, 'too many at once: with the next round')
  t.equal(await tell(), 2, 'failed: not at once')
  now += 11_000
  t.equal(await tell(), 3, 'but soon')
  now += 3_600_000
  t.equal(await tell(), 3, 'it is told')
})

t.test('what they are about', (t) => {
  const { posted, post } = poster()
  const events = problemEvents('n1', post)
  const refused = (key: string) => ({ target: 'nft', refused: { key, reason: 'no room', remedy: 'make some' } })
  events.tell(
    [rejection('Node n1'), rejection('EndpointSlice a/b'), rejection('file x.yaml:3')],
    [refused('Service a/c'), refused('Service a/d 127.0.0.1:30080/tcp'), refused('device flannel.1'), refused('')],
  )
  t.match(posted, [
    { regarding: { kind: 'Node', namespace: '', name: 'n1' } },
    { regarding: { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', namespace: 'a', name: 'b' } },
    { regarding: { kind: 'Service', name: 'c' }, reason: 'Refused', message: 'no room: make some' },
    { regarding: { kind: 'Service', namespace: 'a', name: 'd' }, reason: 'Refused' },
    { regarding: { kind: 'Node', name: 'n1' }, message: 'nft: device flannel.1: no room: make some' },
    { regarding: { kind: 'Node', name: 'n1' }, message: 'nft: no room: make some' },
  ])
  t.equal(posted.length, 6, 'a file is no object')
  t.end()
})

t.test('many rows that a node refuses: some for each target, each once', (t) => {
  const { posted, post } = poster()
  const events = problemEvents('n1', post)
  const rows = (target: string, count: number) =>
    Array.from({ length: count }, (_, i) => ({ target, refused: { key: `f ${i}`, reason: 'r', remedy: 'm' } }))
  for (const _ of [1, 2]) events.tell([], [...rows('nft', 30_000), ...rows('overlay', 2)])
  t.equal(posted.length, 22)
  t.equal(posted.at(-1)!.message, 'overlay: f 1: r: m')
  t.end()
})

t.test('the log says when a rejection came, and how many more', async (t) => {
  const lines: string[] = []
  const table = new InputTable<Rejection>('problems')
  sayRejections(table, createLog({ level: 'info', format: 'text', write: (line) => void lines.push(line) }))
  table.replace(Array.from({ length: 30 }, (_, i) => [String(i), rejection(`Node n${i}`)]))
  await new Promise(setImmediate)
  t.equal(lines.length, 21)
  t.match(lines[0], /cannot be used .*Node n0.*spec\.x.*is bad.*mend it/)
  t.match(lines[20], /count=10/)
  table.replace([])
  await new Promise(setImmediate)
  t.equal(lines.length, 21, 'that they went is no problem')
})

t.test('the observer says and remembers what targets do', (t) => {
  const lines: string[] = []
  const observer = new Observer(createLog({ level: 'debug', format: 'text', write: (line) => void lines.push(line) }))
  const heard: string[] = []
  observer.onEvent(({ kind }) => void heard.push(kind))
  const to = { epoch: 'e', number: 3 }
  const events: Event[] = [
    { kind: 'applied', target: 'nft', from: 0, to, put: 9, drop: 0, ms: 4 },
    { kind: 'audited', target: 'nft', drift: { clean: false, detail: 'a table is gone' }, ms: 1 },
    { kind: 'recovering', target: 'nft', reason: 'audit: a table is gone' },
    { kind: 'failed', target: 'nft', error: new Error('nft: busy'), retries: 1, retryInMs: 100 },
    {
      kind: 'refused',
      target: 'nft',
      refused: Array.from({ length: 30 }, (_, i) => ({ key: `k${i}`, reason: 'r', remedy: 'm' })),
    },
    { kind: 'stuck', target: 'nft', ms: 5000 },
    { kind: 'bug', target: 'nft', error: new Error('oops') },
    { kind: 'audit failed', target: 'nft', error: new Error('no nft') },
  ]
  for (const event of events) observer.hear(event)
  t.strictSame(
    heard,
    events.map(({ kind }) => kind),
  )
  t.match(observer.deeds('nft'), {
    last: { put: 9, drop: 0, full: true, seconds: 0.004 },
    drift: { clean: false, detail: 'a table is gone' },
    ...{ repairs: 1, failures: 1 },
  })
  t.equal(lines.filter((line) => line.includes('WARN  refused ')).length, 20)
  for (const word of [
    'INFO  programmed from nothing',
    'WARN  drifted',
    'INFO  repairing',
    'ERROR does not end',
    'count=10',
    'please report',
  ])
    t.ok(
      lines.some((line) => line.includes(word)),
      word,
    )
  observer.hear({ kind: 'applied', target: 'nft', from: 0, to, put: 9, drop: 0, ms: 4 })
  t.equal(observer.deeds('nft').drift, null, 'repaired: what the last audit saw is no more')
  t.strictSame(observer.deeds('other'), { last: null, drift: null, repairs: 0, failures: 0 })
  t.end()
})
