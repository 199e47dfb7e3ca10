/** The arithmetic of the benchmarks: a wrong median, quantile or ratio would be a wrong promise. */
import t from 'tap'
import { syncSeconds } from '../../bench/agents.ts'
import { byRound, figure, isMet, median, quantile, show, type Check, type Report } from '../../bench/report.ts'

t.test('median and quantile: nearest rank, of unsorted values, which stay as they are', async (t) => {
  const values = [9, 1, 5, 3, 7]
  t.equal(median(values), 5)
  t.same(values, [9, 1, 5, 3, 7])
  t.equal(median([10, 9, 100]), 10, 'numbers are not sorted as words')
  t.equal(median([4, 2]), 2, 'of two, the lower')
  t.equal(median([8]), 8)
  t.ok(Number.isNaN(median([])))
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i)
  t.equal(quantile(hundred, 0.99), 99)
  t.equal(quantile(hundred, 0.5), 50)
  t.equal(quantile(hundred, 1), 100)
  t.equal(quantile(hundred, 0), 1)
  t.equal(quantile([1, 2, 3], 0.99), 3, 'of few, p99 is the worst')
})

t.test('ratios are taken within a round, then the median', async (t) => {
  const ratio = (value: number, base: number): number => value / base
  // The machine became slower in the middle: each round says 0.8, medians of their own would say something else.
  t.equal(byRound([80, 8, 40], [100, 10, 50], ratio), 0.8)
  t.equal(byRound([90, 6, 10], [100, 10, 100], ratio), 0.6, 'neither the mean nor that of the sums')
  t.equal(
    byRound([3, 5], [1, 1], (value, base) => value - base),
    2,
    'differences too',
  )
  t.equal(byRound([1, 2, 3], [1], ratio), 1, 'rounds that the other has not are left out')
  t.ok(Number.isNaN(byRound([], [], ratio)))
})

t.test('a promise is met at its bound from above, not from below', async (t) => {
  const of = (value: number, target: Check['target']): boolean => isMet({ what: '', value, unit: '', target })
  t.ok(of(0.8, { atLeast: 0.8 }))
  t.notOk(of(0.799, { atLeast: 0.8 }))
  t.ok(of(9.99, { below: 10 }))
  t.notOk(of(10, { below: 10 }))
  t.notOk(of(NaN, { below: 10 }), 'nothing measured is nothing kept')
  t.notOk(of(NaN, { atLeast: 1 }))
})

t.test('figures: three digits, thousands apart, integers whole', async (t) => {
  const cases: [string | number, string][] = [
    [0.12345, '0.123'],
    [12.345, '12.3'],
    [123.45, '123'],
    [1234.5, '1,235'],
    [1234567, '1,234,567'],
    [7, '7'],
    [0, '0'],
    [-0.5, '-0.5'],
    [-1234.4, '-1,234'],
    ['as it is', 'as it is'],
    [NaN, '-'],
    [Infinity, '-'],
  ]
  for (const [value, text] of cases) t.equal(figure(value), text, String(value))
})

t.test('a report as Markdown', async (t) => {
  const report: Report = {
    tables: [
      {
        title: 'title',
        columns: ['who', 'n'],
        rows: [
          ['a', 1],
          ['b', 1234],
        ],
      },
    ],
    checks: [
      { what: 'fast', value: 3, unit: 'ms', target: { below: 5 } },
      { what: 'alike', value: 0.5, unit: '', target: { atLeast: 0.8 } },
    ],
    charts: {},
    notes: ['a note'],
  }
  t.equal(
    show(report),
    `title

| who |     n |
| --- | ----: |
| a   |     1 |
| b   | 1,234 |

| promise | measured | target |         |
| ------- | -------- | ------ | ------- |
| fast    | 3 ms     | < 5    | met     |
| alike   | 0.5      | >= 0.8 | NOT MET |

- a note
`,
  )
})

t.test("an agent's first sync, from its metrics", async (t) => {
  const name = 'kubeproxy_sync_proxy_rules_duration_seconds'
  const text = (labels: string, count: number): string =>
    `# HELP ${name} SyncProxyRules latency in seconds
${name}_bucket{ip_family="IPv4",le="+Inf"} ${count}
${name}_sum${labels} 0.297
${name}_count${labels} ${count}
${name}_sum{ip_family="IPv6"} 7
${name}_count{ip_family="IPv6"} 1
`
  t.equal(syncSeconds(text('{ip_family="IPv4"}', 1)), 0.297)
  t.equal(syncSeconds(text('', 1)), 0.297, 'without families')
  t.equal(syncSeconds(text('{ip_family="IPv4"}', 0)), null, 'registered, nothing synced yet')
  t.equal(syncSeconds(''), null)
})
