import t from 'tap'
import { equalities, matches, parseSelector, parseSelectorText } from '../../src/cluster/selector.ts'
import { Report } from '../../src/cluster/rejection.ts'

const parse = (value: unknown) => {
  const report = new Report('Test x')
  const selector = parseSelector(value, 'spec.podSelector', report)
  return { selector, rejections: report.parsed(null).rejections }
}
const labels = (given: Record<string, string>) => new Map(Object.entries(given))
const selects = (value: unknown, given: Record<string, string>) => matches(parse(value).selector!, labels(given))

t.test('an empty selector selects everything', async (t) => {
  for (const empty of [undefined, null, {}, { matchLabels: {} }, { matchExpressions: [] }])
    t.ok(selects(empty, { a: 'b' }))
})

t.test('matchLabels: all of them', async (t) => {
  const selector = { matchLabels: { app: 'web', tier: 'front' } }
  t.ok(selects(selector, { app: 'web', tier: 'front', more: 'x' }))
  t.notOk(selects(selector, { app: 'web' }))
  t.notOk(selects(selector, { app: 'web', tier: 'back' }))
  t.ok(selects({ matchLabels: { app: '' } }, { app: '' }))
  t.notOk(selects({ matchLabels: { app: '' } }, {}), 'empty is not absent')
})

t.test('matchExpressions', async (t) => {
  const of = (operator: string, values?: string[]) => ({
    matchExpressions: [{ key: 'a', operator, ...(values && { values }) }],
  })
  const table: [ReturnType<typeof of>, Record<string, string>, boolean][] = [
    [of('In', ['x', 'y']), { a: 'y' }, true],
    [of('In', ['x', 'y']), { a: 'z' }, false],
    [of('In', ['x', 'y']), {}, false],
    [of('NotIn', ['x', 'y']), { a: 'y' }, false],
    [of('NotIn', ['x', 'y']), { a: 'z' }, true],
    [of('NotIn', ['x', 'y']), {}, true],
    [of('Exists'), { a: '' }, true],
    [of('Exists'), { b: '' }, false],
    [of('DoesNotExist'), { a: '' }, false],
    [of('DoesNotExist'), { b: '' }, true],
  ]
  for (const [selector, given, wanted] of table)
    t.equal(selects(selector, given), wanted, JSON.stringify([selector, given]))
})

t.test('an unusable part makes the whole unusable', async (t) => {
  const bad: Record<string, unknown> = {
    'spec.podSelector': 'app=web',
    'spec.podSelector.matchLabels': ['app'],
    'spec.podSelector.matchLabels["app"]': { matchLabels: { app: 1 } },
    'spec.podSelector.matchExpressions': { matchExpressions: {} },
    'spec.podSelector.matchExpressions[0].operator': {
      matchExpressions: [{ key: 'a', operator: 'in', values: ['x'] }],
    },
    'spec.podSelector.matchExpressions[0].key': { matchExpressions: [{ operator: 'Exists' }] },
    'spec.podSelector.matchExpressions[0].values': { matchExpressions: [{ key: 'a', operator: 'In', values: [] }] },
    'spec.podSelector.matchExpressions[1].values': {
      matchExpressions: [
        { key: 'a', operator: 'Exists' },
        { key: 'a', operator: 'Exists', values: ['x'] },
      ],
    },
  }
  for (const [field, value] of Object.entries(bad)) {
    const given = field === 'spec.podSelector.matchLabels' ? { matchLabels: value } : value
    const { selector, rejections } = parse(given)
    t.equal(selector, null, field)
    t.match(rejections, [{ field }])
  }
})

t.test('a plain map', async (t) => {
  const selector = equalities({ app: 'web' }, 'spec.selector', new Report('x'))
  t.same(selector, [{ key: 'app', operator: 'In', values: ['web'] }])
})

t.test('the text form', async (t) => {
  const picks = (text: string, given: Record<string, string>) => {
    const selector = parseSelectorText(text)
    if (typeof selector === 'string') return t.fail(selector)
    return matches(selector, labels(given))
  }
  t.ok(picks('', {}))
  t.ok(picks('app=web', { app: 'web' }))
  t.ok(picks('app == web, tier!=db', { app: 'web' }))
  t.notOk(picks('app=web,tier!=db', { app: 'web', tier: 'db' }))
  t.ok(picks('env in (a, b),team notin (x,y)', { env: 'b', team: 'z' }))
  t.notOk(picks('env in (a, b)', { env: 'c' }))
  t.ok(picks('canary,!old', { canary: '' }))
  t.notOk(picks('canary,!old', { canary: '', old: '' }))
  t.ok(picks('app.kubernetes.io/name=web', { 'app.kubernetes.io/name': 'web' }))
  for (const bad of ['=x', 'a=b c', 'a in x', 'a,,b', '!', 'a in (', 'a=(', 'a'.repeat(20_000)]) {
    t.type(parseSelectorText(bad), 'string', bad.slice(0, 20))
  }
})
