/** Words, lines, blocks and imports of a Corefile, as caddyfile's own tests have them; and where each of them stands. */
import t from 'tap'
import { tokens } from '../../src/dns/corefile/lexer.ts'
import { Problems } from '../../src/dns/corefile/problem.ts'
import { access, configuration, RESOLV_CONF, wrong } from './dns-corefile-world.ts'

const words = (text: string, env: Record<string, string> = {}): string[] =>
  tokens(text, 'f', (name) => env[name], new Problems()).map(
    ({ text: word, line, column }) => `${line}:${column} ${word}`,
  )

t.test('words', async (t) => {
  const table: [string, string[]][] = [
    ['host:123', ['1:1 host:123']],
    ['host:123\n\n\tdirective', ['1:1 host:123', '3:2 directive']],
    ['host:123 {\n directive\n}', ['1:1 host:123', '1:10 {', '2:2 directive', '3:1 }']],
    ['a # b c\n# d\ne', ['1:1 a', '3:1 e']],
    ['a#b c\nd', ['1:1 a', '2:1 d']],
    ['a "b c" d', ['1:1 a', '1:3 b c', '1:9 d']],
    ['"a \\"b\\" c" d', ['1:1 a "b" c', '1:13 d']],
    ['"C:\\php\\php-cgi.exe"', ['1:1 C:\\php\\php-cgi.exe']],
    ['"a\\\\" b', ['1:1 a\\\\', '1:7 b']],
    ['a "b\n c" d', ['1:1 a', '1:3 b\n c', '2:5 d']],
    ['a "" b', ['1:1 a', '1:3 ', '1:6 b']],
    ['a"b c"d', ['1:1 a"b', '1:5 c"d']],
    ['"a"b', ['1:1 a', '1:4 b']],
    ['"a # b" # c', ['1:1 a # b']],
    ['a\r\nb\rc', ['1:1 a', '2:1 bc']],
    ['\ufeff:8080', ['1:1 :8080']],
    ['a\u00a0b\u3000c\u2028d', ['1:1 a', '1:3 b', '1:5 c', '1:7 d']],
    ['\u{1f600} b', ['1:1 \u{1f600}', '1:3 b']],
    ['', []],
    [' \n\t# only\n', []],
  ]
  for (const [text, wanted] of table) t.same(words(text), wanted, encodeURI(text))
})

t.test('variables are put in after the words are found', async (t) => {
  const env = { A: 'x y', B: '{$A}', C: '{' }
  t.same(words('a{$A}b {%A%} "{$A}"', env), ['1:1 ax yb', '1:8 x y', '1:14 x y'])
  t.same(words('{$NONE} x{%NONE%}', env), ['1:1 ', '1:9 x'])
  t.same(words('{$B}', env), ['1:1 {$A}'], 'what they hold is not looked at again')
  t.same(words('{$} {%%} {$A', env), ['1:1 {$}', '1:5 {%%}', '1:10 {$A'])
  t.same(
    tokens('{$C} {', 'f', (name) => env[name as 'C'], new Problems()).map(({ brace }) => brace),
    [null, '{'],
  )
  t.same(wrong('{$ZONE}:{$PORT} {\n forward . {$UP}\n}', access({}, { ZONE: 'a', PORT: '54', UP: '1.1.1.1' })), [])
})

const zonesOf = (text: string, files: Record<string, string> = {}): string[] =>
  configuration(text, access({ '/etc/resolv.conf': RESOLV_CONF, ...files })).servers.map(({ zones, listen, steps }) =>
    [`${listen[0]!.transport}:${listen[0]!.port}`, ...zones, '-', ...steps.map(({ plugin }) => plugin)].join(' '),
  )

t.test('servers', async (t) => {
  const table: [string, string[]][] = [
    ['. { whoami }', ['dns:53 . - whoami']],
    ['.:54 {\n whoami\n}', ['dns:54 . - whoami']],
    [':53 {\n whoami\n}', ['dns:53 . - whoami']],
    ['. {}', ['dns:53 . -']],
    ['.', ['dns:53 . -']],
    ['.\n{\n whoami\n}', ['dns:53 . - whoami']],
    ['.\nwhoami\nany', ['dns:53 . - any whoami']],
    ['a, b\nwhoami', ['dns:53 a. b. - whoami']],
    ['a b {\n whoami\n}\nc {\n any\n}', ['dns:53 a. b. - whoami', 'dns:53 c. - any']],
    ['a,\nb,\n c {\n whoami\n}', ['dns:53 a. b. c. - whoami']],
    ['Example.ORG. dns://b:54 {\n whoami\n}', ['dns:53 example.org. - whoami', 'dns:54 b. - whoami']],
    ['tls://. {\n tls a.pem b.pem\n}', ['tls:853 . - tls']],
    ['10.0.0.0/8 {\n}', ['dns:53 10.in-addr.arpa. -']],
    ['10.0.0.0/15:54 {\n}', ['dns:54 0.10.in-addr.arpa. 1.10.in-addr.arpa. -']],
    [
      '10.129.62.3/22 {\n}',
      ['dns:53 60.129.10.in-addr.arpa. 61.129.10.in-addr.arpa. 62.129.10.in-addr.arpa. 63.129.10.in-addr.arpa. -'],
    ],
    ['2001:db8::/31 {\n}', ['dns:53 8.b.d.0.1.0.0.2.ip6.arpa. 9.b.d.0.1.0.0.2.ip6.arpa. -']],
    ['0.0.0.0/0 {\n}', ['dns:53 in-addr.arpa. -']],
    ['fd00::1/128 {\n}', [`dns:53 1${'.0'.repeat(29)}.d.f.ip6.arpa. -`]],
    ['\\a.B\\.c\\065 {\n}', ['dns:53 a.b\\046ca. -']],
  ]
  for (const [text, wanted] of table) t.same(zonesOf(text), wanted, JSON.stringify(text))
})

t.test('steps come in the order of CoreDNS, not of the file', async (t) => {
  const lines = 'whoami\nforward . 1.1.1.1\ncache\nerrors\nlog\nforward x 1.1.1.2'
  t.same(zonesOf(`. {\n${lines}\n}`), ['dns:53 . - errors log cache forward forward whoami'])
})

t.test('imports', async (t) => {
  const files = {
    '/conf.d/b.conf': 'any',
    '/conf.d/a.conf': 'whoami\nimport ../more',
    '/more': 'minimal',
    '/sites/x.server': 'x {\n import ../more\n}\n(late) {\n chaos\n}',
    '/opts': 'pods insecure\nttl 7',
    '/etc/resolv.conf': RESOLV_CONF,
  }
  const table: [string, string[]][] = [
    ['(s) {\n whoami\n any\n}\n. {\n import s\n}', ['dns:53 . - any whoami']],
    ['. {\n import s\n}\n(s) {\n whoami\n}', ['dns:53 . - whoami']],
    [
      '(a) {\n any\n}\n(b) {\n import a\n whoami\n}\n. {\n import b\n}\nx {\n import a\n}',
      ['dns:53 . - any whoami', 'dns:53 x. - any'],
    ],
    ['. {\n import conf.d/*.conf\n}', ['dns:53 . - any minimal whoami']],
    ['. {\n import /conf.d/b.con?\n}', ['dns:53 . - any']],
    ['. {\n import none/*\n import none*/x\n whoami\n}', ['dns:53 . - whoami']],
    ['import sites/*.server\n. {\n import late\n}', ['dns:53 x. - minimal', 'dns:53 . - chaos']],
    ['. {\n whoami\n}\nimport sites/x.server', ['dns:53 . - whoami', 'dns:53 x. - minimal']],
  ]
  for (const [text, wanted] of table) t.same(zonesOf(text, files), wanted, JSON.stringify(text))
  const two = { '/b/y.conf': 'forward y 1.1.1.1', '/b/x.conf': 'forward x 1.1.1.1' }
  const { steps } = configuration('. {\n import b/*\n}', access(two)).servers[0]!
  t.same(
    steps.map((it) => 'from' in it && it.from),
    ['x.', 'y.'],
    'in the order of their names',
  )
  const nested = configuration('. {\n kubernetes a {\n  import opts\n }\n}', access(files))
  t.match(nested.servers[0]!.steps[0], { plugin: 'kubernetes', ttl: 7 })
  t.equal(nested.kubernetes[0]!.options.pods, 'insecure')
})

t.test('the digest is of the words, with all imports in place', async (t) => {
  const of = (text: string, files: Record<string, string> = {}) => configuration(text, access(files)).digest
  const plain = of('. {\n whoami\n}')
  t.match(plain, /^[0-9a-f]{128}$/)
  t.equal(of('. { # hello\n\n  "whoami"\n}'), plain)
  t.equal(of('. {\n import x\n}', { '/x': 'whoami' }), plain)
  t.not(of('. {\n any\n}'), plain)
  t.not(of('a {\n whoami\n}'), plain)
})
