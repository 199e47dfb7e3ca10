/** Charts show what was measured: lengths and places are as the values are. */
import t from 'tap'
import { svgOf } from '../../bench/chart.ts'

const bar = (label: string, value: number, ours = false) => ({ label, value, ours })
const widths = (svg: string): number[] =>
  [...svg.matchAll(/<rect x="270"[^>]* width="([\d.]+)"/g)].map(([, w]) => Number(w))
const dots = (svg: string): [number, number][] =>
  [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)])

t.test('bars are as long as their values', async (t) => {
  const chart = { kind: 'bars', title: 'b', unit: 'ms', log: false } as const
  const [one, half] = widths(svgOf({ ...chart, bars: [bar('a', 10, true), bar('b', 5)] })) as [number, number]
  t.ok(Math.abs(one / half - 2) < 0.01, `${one} and ${half}`)
  const [long, short] = widths(svgOf({ ...chart, log: true, bars: [bar('a', 999), bar('b', 9)] })) as [number, number]
  t.ok(Math.abs(long / short - 3) < 0.01, `logarithmic: ${long} and ${short}`)
  const svg = svgOf({ ...chart, bars: [bar('a', 1234.4, true), bar('b', 0.01234)] })
  t.match(svg, '1,234 ms')
  t.match(svg, '0.0123 ms')
  t.equal([...svg.matchAll(/fill="#0969da"/g)].length, 1, 'ours has a colour of its own')
})

t.test('lines: x is logarithmic, y from 0 at the bottom', async (t) => {
  const series = {
    a: [
      [1, 0],
      [100, 0.5],
      [10_000, 1],
    ],
  } as const
  const [first, second, third] = dots(svgOf({ kind: 'lines', title: 'l', xLabel: 'n', yMax: 1, series })) as [
    [number, number],
    [number, number],
    [number, number],
  ]
  t.equal(second[0] - first[0], third[0] - second[0], 'a hundredfold is the same way everywhere')
  t.ok(first[1] > second[1] && second[1] > third[1], 'more is higher')
  t.equal(first[1] - second[1], second[1] - third[1])
})

t.test('words that are not SVG are escaped', async (t) => {
  const svg = svgOf({ kind: 'bars', title: 'a < b & c', unit: 's', log: false, bars: [bar('<x>', 1)] })
  t.match(svg, 'a &#60; b &#38; c')
  t.notMatch(svg, '<x>')
})
