import t from 'tap'
import type { ClusterEvent } from '../../src/cluster/source/kube/events.ts'
import type { Event } from '../../src/core/progress.ts'
import { problemEvents } from '../../src/status/events.ts'
import { createLog } from '../../src/status/log.ts'
import { Observer } from '../../src/status/observer.ts'

const rejection = (object: string, problem = 'is bad') => ({ object, field: 'spec.x', problem, remedy: 'mend it' })

t.test('each problem once while it lasts, again when it comes back', (t) => {
  const posted: ClusterEvent[] = []
  const events = problemEvents((event) => void posted.push(event))
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

t.test('what they are about', (t) => {
  const posted: ClusterEvent[] = []
  const events = problemEvents((event) => void posted.push(event))
  const refused = { key: 'f 10.0.0.1 tcp 80', reason: 'no room', remedy: 'make some' }
  events.tell(
    [rejection('Node n1'), rejection('EndpointSlice a/b'), rejection('file x.yaml:3')],
    [
      { object: 'Service a/c', refused },
      { object: 'Service a/d 127.0.0.1:30080/tcp', refused },
    ],
  )
  t.match(posted, [
    { regarding: { kind: 'Node', namespace: '', name: 'n1' } },
    { regarding: { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', namespace: 'a', name: 'b' } },
    { regarding: { kind: 'Service', name: 'c' }, reason: 'Refused', message: 'no room: make some' },
    { regarding: { kind: 'Service', namespace: 'a', name: 'd' }, reason: 'Refused' },
  ])
  t.equal(posted.length, 4, 'a file is no object')
  t.end()
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
