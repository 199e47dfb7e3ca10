/** What `fairlead status` shows of the DNS. */
import t from 'tap'
import { dnsProblems, printDns, type AskedDns } from '../../src/cli/status-dns.ts'
import { carrierReport, type DnsReport } from '../../src/status/dnsreport.ts'
import type { Report } from '../../src/status/report.ts'

const NOW = Date.parse('2026-01-01T00:00:00Z')
const TARGET = { rows: 3, appliedAt: null, last: null, drift: null, repairs: 0, error: null }
const CONTROLLER: Report = {
  ...{ node: 'dns-a', version: '0.1.0', startedAt: new Date(NOW - 90_000).toISOString(), healthy: true },
  ...{ sources: [], faults: { count: 0, first: [] }, rejections: { count: 0, first: [] }, kernel: [] },
  targets: [
    { ...TARGET, name: 'carrier names', pending: 2, refused: { count: 0, first: [] } },
    {
      ...{ ...TARGET, name: 'carrier servers', pending: 0 },
      refused: { count: 1, first: [{ key: '1', reason: 'no certificate', remedy: 'write tls' }] },
    },
  ],
  ...{ connections: null, memoryBytes: 60_000_000 },
}
const STATS = {
  ...{ version: '0.2.0', upSeconds: 70, places: [], pagesMissing: [] },
  tables: {
    names: { revision: { epoch: 'e7', number: 12 }, rows: 120, octets: 4096, on: 'disk' },
    servers: { revision: null, rows: null, octets: 0, on: 'disk' },
  },
  missing: [{ place: { transport: 'dns', address: '0.0.0.0:53' }, why: 'in use' }],
  controller: { connected: true, connections: 3, refused: 4, failures: 0 },
  worker: {
    ...{ pid: 77, starts: 2 },
    says: {
      ...{ sets: {}, servers: 1, synced: true, readers: 1 },
      upstreams: [
        { address: '10.0.0.2:53', down: false },
        { address: '10.0.0.3:53', down: true },
      ],
    },
  },
}
const WELL: DnsReport = {
  controller: { ...CONTROLLER, targets: [] },
  corefile: { digest: 'abcdef0123456789', error: null },
  carrier: { ...carrierReport(STATS), upstreams: [], closed: [] },
  why: '',
}

function page(asked: readonly AskedDns[], wide = false): string {
  let text = ''
  printDns(asked, (part) => void (text += part), { colour: false, wide, nowMs: NOW })
  return text
}

t.test('servers, and what they hold', async (t) => {
  const report = { ...WELL, controller: CONTROLLER, carrier: carrierReport(STATS) }
  const asked = [
    { server: 'dns-a', report, why: '' },
    { server: 'dns-b', report: null, why: 'it is gone' },
  ]
  t.match(page(asked), /\ndns-a +yes +connected +77 +2 +2 \(1 down\) +1 +60 MB +90s\n/)
  t.match(page(asked), /\ndns-b +- +no +- .*-\n/)
  t.match(page(asked), /\ndns-a +names +120 +e7\/12 +2 +0\n/)
  t.match(page(asked), /\ndns-a +servers +0 +nothing +0 +1\n/)
  t.match(page(asked, true), / 0\.1\.0\/0\.2\.0 +3 +abcdef012345\n/)
  t.match(page(asked, true), /e7\/12 +2 +0 +4096 +disk\n/)
  t.strictSame(dnsProblems(asked), [
    'dns-a: upstreams are down: 10.0.0.3:53: they are asked again and again until they answer',
    'dns-a: the carrier cannot listen: dns://0.0.0.0:53: in use',
    'dns-a: carrier servers: 1: no certificate: write tls',
    'dns-b: it is gone',
  ])
  t.strictSame([page([]), dnsProblems([{ server: 'a', report: WELL, why: '' }])], ['', []])
})

t.test('what may be wrong', async (t) => {
  const problems = (change: Partial<DnsReport>): string[] =>
    dnsProblems([{ server: 'a', report: { ...WELL, ...change }, why: '' }])
  t.strictSame(problems({ carrier: null, why: 'nobody listens' }), ['a: no carrier: nobody listens'])
  t.match(page([{ server: 'a', report: { ...WELL, carrier: null }, why: '' }]), /\na +no +no carrier +- +- +- +- /)
  const error = '/C:2:3: "kubernets" is no plugin; write kubernetes'
  const object = {
    object: 'Pod kube-system/a',
    field: '/C:2:3',
    problem: '"kubernets" is no plugin',
    remedy: 'write kubernetes',
  }
  const controller = { ...WELL.controller, healthy: false, rejections: { count: 1, first: [object] } }
  t.strictSame(
    [problems({ controller, corefile: { digest: 'x', error } }), problems({ corefile: { digest: null, error } })],
    [
      [`a: the Corefile cannot be used, what was in force stays: ${error}`],
      [`a: the Corefile cannot be used: ${error}`],
    ],
    'once',
  )
  const dead = carrierReport({ ...STATS, missing: [], worker: { pid: null, starts: 9, says: { error: 'dead' } } })
  t.strictSame(problems({ carrier: dead }), [
    "a: no worker serves (9 were started): see the carrier's log",
    'a: the carrier has no names yet: it waits for the API server, and has none on disk',
  ])
  t.throws(() => carrierReport({}), 'it is no carrier')
})
