/** Small SVG charts: lines over a logarithmic x axis, or groups of horizontal bars. Readable on light and dark pages. */

export type Chart = Lines | Bars

export interface Lines {
  readonly kind: 'lines'
  readonly title: string
  readonly xLabel: string
  readonly yMax: number
  /** Points as x, y; x >= 1. */
  readonly series: Readonly<Record<string, readonly (readonly [number, number])[]>>
}

export interface Bars {
  readonly kind: 'bars'
  readonly title: string
  readonly unit: string
  readonly bars: readonly { readonly label: string; readonly value: number; readonly ours: boolean }[]
  /** Values are compared on a logarithmic scale. */
  readonly log: boolean
}

export function svgOf(chart: Chart): string {
  return chart.kind === 'lines' ? lines(chart) : bars(chart)
}

function lines({ title, xLabel, yMax, series }: Lines): string {
  const xs = Object.values(series).flatMap((points) => points.map(([x]) => x))
  const xEnd = Math.log10(Math.max(10, ...xs))
  const at = ([x, y]: readonly [number, number]): readonly [number, number] => [
    LEFT + (Math.log10(x) / xEnd) * PLOT_WIDTH,
    TOP + (1 - y / yMax) * PLOT_HEIGHT,
  ]
  const parts: string[] = []
  for (let i = 0; i <= 5; i++) {
    const [x, y] = at([1, (yMax * i) / 5])
    parts.push(`<line x1="${x}" y1="${y}" x2="${LEFT + PLOT_WIDTH}" y2="${y}" class="grid"/>`)
    parts.push(text(x - 8, y + 4, short((yMax * i) / 5), 'end'))
  }
  for (const x of new Set(xs)) parts.push(text(at([x, 0])[0], TOP + PLOT_HEIGHT + 20, short(x), 'middle'))
  parts.push(text(LEFT + PLOT_WIDTH / 2, TOP + PLOT_HEIGHT + 42, xLabel, 'middle'))
  Object.entries(series).forEach(([name, points], i) => {
    const colour = COLOURS[i % COLOURS.length]!
    const places = points.map(at)
    parts.push(
      `<polyline points="${places.map((place) => place.join(',')).join(' ')}" stroke="${colour}" class="line"/>`,
    )
    for (const [x, y] of places) parts.push(`<circle cx="${x}" cy="${y}" r="4" fill="${colour}"/>`)
    const y = TOP + 12 + i * 20
    parts.push(`<rect x="${WIDTH - 172}" y="${y - 9}" width="12" height="12" fill="${colour}"/>`)
    parts.push(text(WIDTH - 154, y + 2, name, 'start'))
  })
  return page(title, TOP + PLOT_HEIGHT + 60, parts)
}

function bars({ title, unit, bars, log }: Bars): string {
  const scale = (value: number): number => (log ? Math.log10(1 + value) : value)
  const max = Math.max(...bars.map(({ value }) => scale(value)))
  const parts = bars.flatMap(({ label, value, ours }, i) => {
    const y = TOP + i * 26
    const width = Math.max(1, (scale(value) / max) * (WIDTH - BAR_LEFT - 110))
    return [
      text(BAR_LEFT - 8, y + 14, label, 'end'),
      `<rect x="${BAR_LEFT}" y="${y}" width="${width.toFixed(1)}" height="19" fill="${ours ? COLOURS[0]! : OTHERS}"/>`,
      text(BAR_LEFT + width + 8, y + 14, `${short(value)} ${unit}`, 'start'),
    ]
  })
  return page(`${title}${log ? ' (logarithmic)' : ''}`, TOP + bars.length * 26 + 12, parts)
}

function page(title: string, height: number, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">
<style>text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600;font-size:15px}.grid{stroke:#8886}.line{fill:none;stroke-width:2}.page{fill:#fff}</style>
<rect class="page" width="100%" height="100%"/>
<text x="16" y="26" class="title">${escape(title)}</text>
${parts.join('\n')}
</svg>
`
}

const text = (x: number, y: number, words: string, anchor: 'start' | 'middle' | 'end'): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escape(words)}</text>`
const escape = (words: string): string => words.replace(/[&<>]/g, (char) => `&#${char.charCodeAt(0)};`)
const short = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en-US') : Number(value.toPrecision(3)).toString()

const WIDTH = 760
const TOP = 48
const LEFT = 64
const PLOT_WIDTH = 500
const PLOT_HEIGHT = 260
const BAR_LEFT = 270
const COLOURS = ['#0969da', '#cf222e', '#bf8700', '#8250df', '#1a7f37'] as const
const OTHERS = '#8c959f'
