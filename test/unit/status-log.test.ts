import t from 'tap'
import { createLog, parseLogOptions, type LogOptions } from '../../src/status/log.ts'

const NOON = Date.UTC(2026, 0, 2, 12)

function logged(options: Partial<LogOptions>): { lines: string[]; log: ReturnType<typeof createLog> } {
  const lines: string[] = []
  const write = (line: string): void => void lines.push(line)
  return { lines, log: createLog({ level: 'info', format: 'text', clock: () => NOON, write, ...options }) }
}

t.test('text: one line an event, values quoted when they must be', (t) => {
  const { lines, log } = logged({})
  log
    .with({ node: 'n1' })
    .info('programmed', { rows: 12, key: 'f 10.0.0.1 tcp 80', error: new Error('no\nway'), none: undefined })
  t.strictSame(lines, [
    '2026-01-02T12:00:00.000Z INFO  programmed node=n1 rows=12 key="f 10.0.0.1 tcp 80" error="no\\nway"\n',
  ])
  t.end()
})

t.test('json: each line parses, and an event keeps its own fields', (t) => {
  const { lines, log } = logged({ format: 'json' })
  log.warn('refused', { level: 'high', count: 3, list: ['a'], big: 2n })
  t.strictSame(JSON.parse(lines[0]!), {
    ...{ time: '2026-01-02T12:00:00.000Z', level: 'warn', event: 'refused' },
    ...{ level_: 'high', count: 3, list: '["a"]', big: '2' },
  })
  t.end()
})

t.test('levels', (t) => {
  const { lines, log } = logged({ level: 'warn' })
  log.debug('a')
  log.info('b')
  log.warn('c')
  log.error('d')
  t.match(lines, [/WARN {2}c/, /ERROR d/])
  t.equal(lines.length, 2)
  t.end()
})

t.test('secrets are not shown, wherever they are', (t) => {
  for (const format of ['text', 'json'] as const) {
    const { lines, log } = logged({ format })
    log.info('request', { bearerToken: 'hunter2', headers: { Authorization: 'hunter2', accept: 'x' } })
    t.notMatch(lines[0], 'hunter2')
    t.match(lines[0], 'accept')
  }
  t.end()
})

t.test('nothing a value does can break the log', (t) => {
  const circle: Record<string, unknown> = {}
  circle['self'] = circle
  const { lines, log } = logged({})
  log.info('odd', { circle, long: 'x'.repeat(1e6), esc: '\x1b[31m\r\nFAKE line' })
  t.equal(lines.length, 1)
  t.equal(lines[0]!.split('\n').length, 2)
  t.ok(lines[0]!.length < 5000)
  t.notMatch(lines[0], '\x1b')
  t.end()
})

t.test('what people write in FAIRLEAD_LOG', (t) => {
  t.match(parseLogOptions('debug,json'), { level: 'debug', format: 'json', unknown: [] })
  t.match(parseLogOptions(' JSON '), { level: 'info', format: 'json' })
  t.match(parseLogOptions(undefined), { level: 'info', format: 'text', unknown: [] })
  t.strictSame(parseLogOptions('loud,warn').unknown, ['loud'])
  t.end()
})
