import t from 'tap'
import type { KindState } from '../../src/cluster/source/kube/reflector.ts'
import type { Rejection } from '../../src/cluster/rejection.ts'
import { render } from '../../src/cli/status.ts'
import type { Status } from '../../src/core/progress.ts'
import { InputTable } from '../../src/core/table.ts'
import { silent } from '../../src/status/log.ts'
import { Observer } from '../../src/status/observer.ts'
import type { Report } from '../../src/status/report.ts'
import { statusz } from '../../src/status/statusz.ts'

const NOW = Date.now()

/** What an agent answers that has all sorts of trouble. */
function troubled(): Report {
  const observer = new Observer(silent)
  const to = { epoch: 'e', number: 3 }
  observer.hear({ kind: 'applied', target: 'nftables', from: 2, to, put: 2, drop: 1, ms: 3.21 })
  observer.hear({
    kind: 'audited',
    target: 'nftables',
    drift: { clean: false, detail: 'table fairlead is gone' },
    ms: 1,
  })
  observer.hear({ kind: 'recovering', target: 'nftables', reason: 'x' })
  const rejections = new InputTable<Rejection>('rejections')
  for (let i = 0; i < 25; i++)
    rejections.put(`r${i}`, { object: `Service a/s${i}`, field: 'spec.x', problem: 'is bad', remedy: 'mend it' })
  const refused = new Map([['f 10.0.0.1 tcp 80', { key: 'f 10.0.0.1 tcp 80', reason: 'no room', remedy: 'make some' }]])
  const status: Status = {
    ...{ target: 'nftables', table: 'services', applied: to, pending: 4, pendingSince: null, refused },
    ...{ lastError: new Error('nft is busy'), lastAppliedAt: NOW - 61_000, retries: 0, drift: null },
  }
  const state = {
    ...{
      kind: 'Service',
      phase: 'retrying',
      since: NOW,
      failures: 3,
      resourceVersion: '',
      lists: 0,
      events: 0,
      stale: true,
    },
    problem: { status: 403, message: 'forbidden', remedy: 'allow list of services', retryAfterMs: null },
  } satisfies KindState
  const answer = statusz({
    ...{ node: 'n1', version: '0.1.0', healthy: () => false, observer, rejections },
    bindings: () => [{ rows: 120, status }],
    sources: () => [{ state, objects: 7 }],
    faults: () => [{ table: 'service plans', key: 'a/s0', error: new Error('oops') }],
    kernel: () => [{ name: 'sctp', present: false, remedy: 'SCTP services do not work' }],
    connections: () => ({ entries: 243_000, max: 262_144, drops: 0 }),
  })()
  return JSON.parse(answer.body) as Report
}

t.test('what an agent says', (t) => {
  t.match(troubled(), {
    ...{ node: 'n1', healthy: false, memoryBytes: Number },
    sources: [{ kind: 'Service', state: 'stale', objects: 7, error: 'forbidden: allow list of services' }],
    targets: [
      {
        ...{ name: 'nftables', rows: 120, pending: 4, repairs: 1, error: 'nft is busy' },
        ...{ last: { put: 2, drop: 1, full: false }, drift: { clean: false }, refused: { count: 1 } },
      },
    ],
    rejections: { count: 25 },
    faults: { count: 1 },
  })
  t.equal(troubled().rejections.first.length, 20, 'bounded')
  t.end()
})

t.test('and how it is shown', (t) => {
  const report = troubled()
  const view = { colour: false, wide: false, nowMs: NOW }
  const all = { servers: [], files: { count: 0, first: [] } }
  const asked = [
    { node: 'n1', report, why: '' },
    { node: 'n2', report: null, why: 'gone' },
  ]
  const page = render({ ...all, asked }, view)
  t.match(page, /n1 +no +0\/1 kinds +7 +25 +243000\/262144 +\d+ MB/)
  t.match(page, /n1 +nftables +120 +4 +1 +drift +\+2 -1 in 3\.2 ms, 61s ago\n/)
  for (const line of [
    'sctp (all nodes): SCTP services do not work',
    'n1: changes wait for longer than they may',
    'n1: conntrack is 92 % full (243000 of 262144): new connections are dropped once it is full; on the node: sysctl -w net.netfilter.nf_conntrack_max=524288',
    'n1: Service: stale: forbidden: allow list of services',
    'n1: nftables: nft is busy',
    'n1: nftables: drift: table fairlead is gone',
    'n1: nftables: f 10.0.0.1 tcp 80: no room: make some',
    'n1: Service a/s0: spec.x: is bad: mend it',
    'n1: ... and 5 more rejections',
    'n1: service plans of a/s0: oops: this is a bug, please report it; the object has no effect until it changes',
    'n2: gone',
  ])
    t.ok(page.includes(`  ${line}\n`), line)
  const well: Report = {
    ...report,
    healthy: true,
    sources: [],
    targets: [],
    rejections: { count: 0, first: [] },
    faults: { count: 0, first: [] },
    kernel: [],
    connections: { entries: 200_000, max: 262_144, drops: 0 },
  }
  const quiet = { ...all, asked: [{ node: 'n1', report: well, why: '' }] }
  t.notMatch(render(quiet, view), 'to look at')
  t.match(render(quiet, { ...view, colour: true }), '\x1b[32myes')
  const wide = render({ ...all, asked }, { ...view, wide: true })
  t.match(wide, /CONNTRACK .* VERSION\n.*n1 .* 0\.1\.0\n/)
  t.match(wide, /LAST CHANGE +REPAIRS\n.*61s ago +1\n/)
  t.end()
})

t.test('certificates that an ingress controller orders', (t) => {
  const certificate = { secret: 'x/shop', ingress: 'x/shop', issuer: 'letsencrypt', notAfter: null, renewAt: null }
  const report: Report = {
    ...troubled(),
    certificates: { count: 21, first: [{ ...certificate, step: 'waits until 2026-01-01: dns: no such name' }] },
  }
  const asked = [{ node: 'pod', report, why: '' }]
  const page = render(
    { asked, servers: [], files: { count: 0, first: [] } },
    { colour: false, wide: false, nowMs: NOW },
  )
  t.match(page, /^CERTIFICATE +INGRESS +ISSUER +UNTIL +NOW$/m)
  t.match(page, /^x\/shop +x\/shop +letsencrypt +not there +waits until 2026-01-01: dns: no such name$/m)
  t.match(page, /^\.\.\. and 20 more certificates$/m)
  t.end()
})
