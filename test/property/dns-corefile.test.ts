/** Whatever a Corefile says, it is parsed in bounded time, without an exception, and what is wrong has its place. */
import * as fc from 'fast-check'
import t from 'tap'
import { parseCorefile } from '../../src/dns/corefile/corefile.ts'
import { tokens } from '../../src/dns/corefile/lexer.ts'
import { parseName } from '../../src/dns/corefile/name.ts'
import { pattern } from '../../src/dns/corefile/pattern.ts'
import { placeholders } from '../../src/dns/corefile/placeholder.ts'
import { PLUGINS, SETTINGS } from '../../src/dns/corefile/plugins.ts'
import { Problems } from '../../src/dns/corefile/problem.ts'
import { statements, type Statement } from '../../src/dns/corefile/statement.ts'
import { access } from '../unit/dns-corefile-world.ts'

const WORDS = [
  ...PLUGINS.keys(),
  ...SETTINGS,
  ...[
    'import',
    '(s)',
    's',
    '{',
    '}',
    '{}',
    '"',
    '\\"',
    '#',
    '\n',
    '\n',
    ',',
    '.',
    ':53',
    'a',
    'b.c',
    '10.0.0.0/9',
    '::/1',
  ],
  ...[
    'tls://',
    'https://x',
    '1.1.1.1',
    'fd00::1',
    '[::1]:53',
    '30',
    '5s',
    '-1',
    '0',
    '{$A}',
    '{%B%}',
    '{$',
    '*',
    '/x',
    '/db',
  ],
  ...[
    'success',
    'denial',
    'prefetch',
    'serve_stale',
    'verify',
    '10%',
    'class',
    'error',
    'fallthrough',
    'ttl',
    'pods',
    'labels',
  ],
  ...[
    'stop',
    'continue',
    'name',
    'regex',
    'suffix',
    'answer',
    'auto',
    'value',
    '(a)',
    '{1}',
    '{9}',
    'local',
    'set',
    '0xffee',
  ],
  ...[
    'IN',
    'ANY',
    'A',
    'match',
    'rcode',
    'NXDOMAIN',
    '"{{ .Name }} 60 IN A {{ .Group.x }}"',
    'type',
    'net',
    'allow',
    'reload',
  ],
  ...[
    'policy',
    'except',
    'next',
    'health_check',
    'domain',
    'constructor',
    '__proto__',
    'toString',
    '\ufeff',
    '\u2028',
    '\0',
  ],
]
const text = fc.oneof(
  fc.array(fc.constantFrom(...WORDS), { maxLength: 60 }).map((words) => words.join(' ')),
  fc.array(fc.constantFrom(...WORDS), { maxLength: 40 }).map((words) => `. {\n${words.join(' ')}\n}`),
  fc.string({ unit: 'binary', maxLength: 200 }),
)
const FILES = {
  '/x': 'import y\nany',
  '/y': 'import x',
  '/db': '@ SOA a b 1 2 3 4 5\nx TXT (',
  '/etc/hosts': '1 2\n10.0.0.1 x',
}

t.test('no text is too much for the parser', async () => {
  const given = access(FILES, { A: '{$A} "x"', B: '. {' })
  fc.assert(
    fc.property(text, (it) => {
      const parsed = parseCorefile(it, '/Corefile', given)
      if (!('problems' in parsed)) return parsed.servers.length > 0 && /^[0-9a-f]{128}$/.test(parsed.digest)
      const placed = parsed.problems.every(({ line, column, file, problem, remedy }) => {
        const inside = file !== '/Corefile' || line <= it.split('\n').length
        return line >= 1 && column >= 1 && inside && problem !== '' && remedy !== '' && !/[\n]/.test(problem + remedy)
      })
      return placed && parsed.problems.length > 0 && parsed.problems.length <= 21
    }),
    { numRuns: 3000 },
  )
})

/** Statements as text: words in quotes where they need them, each line on its own. */
const write = (body: readonly Statement[]): string =>
  body
    .map(
      ({ name, args, body: inner }) =>
        `${[name, ...args].map(quoted).join(' ')}${inner === null ? '' : ` {\n${write(inner)}}`}\n`,
    )
    .join('')
const quoted = ({ text: it }: { readonly text: string }): string =>
  /^[a-z0-9.]+$/.test(it) ? it : `"${it.replaceAll('"', '\\"')}"`
const plain = (body: readonly Statement[]): unknown =>
  body.map(({ name, args, body: inner }) => [
    name.text,
    args.map((it) => it.text),
    inner === null ? null : plain(inner),
  ])

t.test('what is written out again says the same', async (t) => {
  // A backslash at the end of a quoted word, or before a quote, has no way to be written.
  const word = fc.string({
    unit: fc.constantFrom('a', 'b', '1', '.', ' ', '"', '#', '{', '}', '\n', 'é', ','),
    maxLength: 6,
  })
  const token = word.map((it) => ({ text: it }))
  const { body } = fc.letrec((tie) => ({
    body: fc.array(tie('statement'), { maxLength: 4 }),
    statement: fc.record({
      name: token.filter(({ text: it }) => it !== ''),
      args: fc.array(token, { maxLength: 3 }),
      body: fc.option(tie('body'), { maxDepth: 3 }),
    }),
  }))
  fc.assert(
    fc.property(body, (it) => {
      const wanted = it as readonly Statement[]
      const problems = new Problems()
      const again = statements(
        tokens(write(wanted), 'f', () => undefined, problems),
        problems,
      )
      t.same(problems.list(), [])
      t.same(plain(again), plain(wanted))
    }),
    { numRuns: 300 },
  )
})

t.test('patterns and placeholders', async () => {
  const signs = fc.string({ unit: fc.constantFrom(...String.raw`ab(){}[]^$|*+?.\-:<>P!=,09Qd`), maxLength: 20 })
  fc.assert(
    fc.property(signs, (it) => {
      const problems = new Problems()
      const found = pattern({ text: it, file: 'f', line: 1, column: 1, endLine: 1, brace: null }, problems)
      return (found === null) === problems.any
    }),
    { numRuns: 3000 },
  )
  const pieces = fc.array(
    fc.constantFrom('{{', '}}', '-', ' ', '.Name', 'index', '.Match', '1', '"', '`', 'x', '/*', '*/'),
    { maxLength: 20 },
  )
  fc.assert(
    fc.property(pieces, (it) => placeholders(it.join('')) !== undefined),
    { numRuns: 2000 },
  )
})

t.test('a name has one form', async (t) => {
  fc.assert(
    fc.property(
      fc.string({
        unit: fc.oneof(
          fc.constantFrom('a', 'B', '.', '\\', '0', '6', '5', '-'),
          fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
        ),
        maxLength: 30,
      }),
      (it) => {
        const name = parseName(it)
        if (name === null) return
        t.equal(parseName(name), name)
        t.match(name, /^(?:\.|(?:(?:[!-~]|\\[0-9]{3})+\.)+)$/)
      },
    ),
    { numRuns: 1000 },
  )
})

/** What grew with the square of its input would be at this for minutes, and the test's deadline ends it. */
t.test('long input comes to an end', async (t) => {
  const n = 50_000
  const shapes: Record<string, string> = {
    words: `. {\n${'log a b c\n'.repeat(n / 2)}}`,
    braces: `. {\n${'cache {\n'.repeat(n)}`,
    'closing braces': `. {\n${'}\n'.repeat(n)}`,
    quotes: `. {\n log "${'a\\" '.repeat(n)}`,
    backslashes: `. {\n log "${'\\'.repeat(n)}`,
    keys: Array.from({ length: n }, (_, i) => `k${i}`).join(' '),
    comments: '#'.repeat(8 * n),
    variables: '{$'.repeat(4 * n),
    imports: `(a) {\n${'any\n'.repeat(50)}}\n${'. {\n import a\n}\n'.repeat(n / 50)}`,
    directives: `. {\n${Array.from({ length: n }, (_, i) => `x${i}`).join('\n')}\n}`,
    pattern: `. {\n rewrite name regex ${'(a'.repeat(4000)} b\n}`,
    template: `. {\n template IN A {\n answer "${'{{'.repeat(n)}"\n}\n}`,
  }
  for (const [name, input] of Object.entries(shapes)) {
    const parsed = parseCorefile(input, '/Corefile', access())
    t.ok('problems' in parsed || parsed.servers.length > 0, name)
  }
})

t.test('snippets that double each time end', async (t) => {
  const snippets = Array.from(
    { length: 25 },
    (_, i) => `(s${i}) {\n${i === 0 ? 'any' : `import s${i - 1}\nimport s${i - 1}`}\n}`,
  )
  const parsed = parseCorefile(`${snippets.join('\n')}\n. {\nimport s24\n}`, '/Corefile', access())
  t.ok(
    'problems' in parsed &&
      parsed.problems.some(({ problem }) => problem === 'with all imports there are more than 100000 lines'),
  )
})
