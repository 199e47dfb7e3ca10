/** Text in columns, as kubectl prints it; colours on a terminal only. */
export interface Columns {
  /** Prints the rows; the first time with the header, later in the same widths. */
  print(rows: readonly (readonly string[])[]): void
}

/** `colour`: whether to. Cells are cut to 200 characters, control characters are not printed. */
export function columns(header: readonly string[], write: (text: string) => void, colour: boolean): Columns {
  let widths: number[] | null = null
  const line = (cells: readonly string[], paint: (cell: string, shown: string) => string): string =>
    cells
      .map((cell, i) => paint(cell, i === cells.length - 1 ? cell : cell.padEnd(widths![i]!)))
      .join(GAP)
      .trimEnd() + '\n'
  return {
    print(rows) {
      const clean = rows.map((row) => row.map(printable))
      let text = ''
      if (widths === null) {
        widths = header.map((name, i) => Math.max(name.length, ...clean.map((row) => (row[i] ?? '').length)))
        text += line(header, (_, shown) => (colour ? `\x1b[1m${shown}\x1b[0m` : shown))
      }
      for (const row of clean) text += line(row, (cell, shown) => (colour ? painted(cell, shown) : shown))
      write(text)
    },
  }
}

/** Whether standard output is a terminal that wants colours (no-color.org). */
export const wantsColour = (): boolean =>
  process.stdout.isTTY === true && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb'

function painted(cell: string, shown: string): string {
  const colour = GOOD.test(cell) ? 32 : BAD.test(cell) ? 31 : WAITING.test(cell) ? 33 : 0
  return colour === 0 ? shown : `\x1b[${colour}m${shown}\x1b[0m`
}

function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- what an object says must not steer the terminal
  const clean = text.replace(/[\x00-\x1f\x7f-\x9f]/g, ' ')
  return clean.length > CELL_MAX ? `${clean.slice(0, CELL_MAX)}...` : clean
}

const GAP = '   '
const CELL_MAX = 200
const GOOD = /^(Running|Ready|Active|Bound|Completed|clean|yes)$/
const BAD = /^(NotReady.*|Error|Failed|CrashLoopBackOff|.*BackOff|Warning|Evicted|drift.*|no)$/
const WAITING = /^(Pending|ContainerCreating|PodInitializing|Terminating|<pending>|Unknown)$/
