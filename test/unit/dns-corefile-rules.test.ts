/** rewrite and template: rules, patterns and records with holes. */
import t from 'tap'
import { pattern } from '../../src/dns/corefile/pattern.ts'
import { placeholders } from '../../src/dns/corefile/placeholder.ts'
import { Problems } from '../../src/dns/corefile/problem.ts'
import type { Step } from '../../src/dns/corefile/step.ts'
import { step } from './dns-corefile-world.ts'

const rule = (words: string) => (step(`rewrite ${words}`) as Extract<Step, { plugin: 'rewrite' }>).rules[0]

t.test('rewrite', async (t) => {
  const exact = (text: string) => ({ how: 'exact', text })
  const text = (it: string) => [{ text: it }]
  const table: [string, object][] = [
    [
      'name A.b c',
      { stop: true, change: { field: 'name', matching: exact('a.b.'), to: text('c.'), auto: true, answer: [] } },
    ],
    [
      'continue name prefix a- b-',
      { stop: false, change: { matching: { how: 'prefix', text: 'a-.' }, to: text('b-.'), auto: false } },
    ],
    [
      'stop name suffix .a.org .b.org. answer auto',
      {
        stop: true,
        change: { matching: { how: 'suffix', text: '.a.org.' }, to: text('.b.org.'), auto: true, answer: [] },
      },
    ],
    ['name substring x y', { change: { matching: { how: 'substring', text: 'x.' }, to: text('y.') } }],
    [
      String.raw`name regex (.*)-(us-west-1)\.coredns\.rocks {1}.service.{2}.consul answer name (.*)\.service\.(us-west-1)\.consul {1}-{2}.coredns.rocks value a b.`,
      {
        change: {
          matching: { how: 'regex', text: String.raw`(.*)-(us-west-1)\.coredns\.rocks` },
          to: [{ group: 1 }, { text: '.service.' }, { group: 2 }, { text: '.consul.' }],
          auto: false,
          answer: [
            {
              what: 'name',
              pattern: String.raw`(.*)\.service\.(us-west-1)\.consul`,
              to: [{ group: 1 }, { text: '-' }, { group: 2 }, { text: '.coredns.rocks.' }],
            },
            { what: 'value', pattern: 'a', to: text('b.') },
          ],
        },
      },
    ],
    ['continue {\n name regex a b\n answer auto\n}', { stop: false, change: { field: 'name', auto: true } }],
    ['stop {\n name exact a b\n}', { stop: true, change: { matching: exact('a.') } }],
    ['type any HINFO', { change: { field: 'type', from: 255, to: 13 } }],
    ['type TYPE65 A', { change: { from: 65, to: 1 } }],
    ['class CH IN', { change: { field: 'class', from: 3, to: 1 } }],
    ['ttl example.com. 30-300', { change: { field: 'ttl', matching: exact('example.com.'), min: 30, max: 300 } }],
    ['ttl suffix a -30', { change: { matching: { how: 'suffix', text: 'a.' }, min: 0, max: 30 } }],
    ['ttl a 30-', { change: { min: 30, max: 2_147_483_647 } }],
    ['ttl a 15', { change: { min: 15, max: 15 } }],
    [
      'continue rcode regex (.*)\\.x 2 NOERROR',
      { stop: false, change: { field: 'rcode', matching: { how: 'regex', text: '(.*)\\.x' }, from: 2, to: 0 } },
    ],
    ['rcode a NXDOMAIN servfail', { change: { from: 3, to: 2 } }],
    ['cname a b', { change: { field: 'cname', matching: exact('a.'), to: text('b.') } }],
    ['cname suffix .A .B', { change: { matching: { how: 'suffix', text: '.a' }, to: text('.b') } }],
    ['cname regex (.*).cdn.example.net. {1}.other.', { change: { to: [{ group: 1 }, { text: '.other.' }] } }],
    [
      'edns0 local set 0xffee 0x61626364',
      {
        change: {
          field: 'edns0',
          action: 'set',
          option: { kind: 'local', code: 0xffee, data: { octets: '61626364' } },
          revert: false,
        },
      },
    ],
    [
      'edns0 local append 65518 abcd revert',
      { change: { action: 'append', option: { code: 65_518, data: { octets: '61626364' } }, revert: true } },
    ],
    [
      'edns0 local replace 010 {client_ip}',
      { change: { action: 'replace', option: { code: 8, data: { variable: 'clientIp' } } } },
    ],
    [
      'edns0 local set 0xfff0 {kubernetes/client-label/App}',
      { change: { option: { kind: 'local', code: 65_520, data: { metadata: 'kubernetes/client-label/App' } } } },
    ],
    [
      'name regex ^([^.]+)\\.a\\.$ {1}.{kubernetes/client-namespace}.SVC metadata answer auto',
      {
        change: {
          field: 'name',
          to: [...[{ group: 1 }, { text: '.' }, { metadata: 'kubernetes/client-namespace' }], { text: '.svc.' }],
          auto: true,
        },
      },
    ],
    ['edns0 local unset 1', { change: { action: 'unset', option: { kind: 'local', code: 1 }, revert: false } }],
    ['edns0 nsid set', { change: { option: { kind: 'nsid' } } }],
    ['edns0 subnet set 24 56', { change: { option: { kind: 'subnet', ipv4Bits: 24, ipv6Bits: 56 } } }],
    ['edns0 subnet unset', { change: { option: { kind: 'subnet', ipv4Bits: 0, ipv6Bits: 0 } } }],
  ]
  for (const [words, wanted] of table) t.match(rule(words), wanted, words)
})

t.test('template, as in its documentation', async (t) => {
  const of = (lines: string) => (step(`template ${lines}`) as Extract<Step, { plugin: 'template' }>).templates[0]
  const group = (namedGroup: string) => ({ namedGroup })
  t.same(of('ANY ANY {\n rcode NXDOMAIN\n}'), {
    class: 255,
    type: 255,
    zones: ['example.org.'],
    patterns: [],
    answer: [],
    additional: [],
    authority: [],
    rcode: 3,
    extendedError: null,
    fallthrough: null,
  })
  const soa =
    'IN ANY example.com {\n match "example\\.com\\.(dc1\\.example\\.com\\.)$"\n rcode NXDOMAIN\n authority "{{ index .Match 1 }} 60 {{ .Class }} SOA ns.{{ index .Match 1 }} hostmaster.{{ .Zone }} (1 60 1h 60 60)"\n ederror 21 "no such"\n fallthrough a b\n}'
  t.match(of(soa), {
    patterns: ['example\\.com\\.(dc1\\.example\\.com\\.)$'],
    authority: [
      {
        owner: [{ group: 1 }],
        ttl: 60,
        type: 6,
        data: [
          [{ text: 'ns.' }, { group: 1 }],
          [{ text: 'hostmaster.' }, 'zone'],
          [{ text: '1' }],
          [{ text: '60' }],
          [{ text: '3600' }],
          [{ text: '60' }],
          [{ text: '60' }],
        ],
      },
    ],
    extendedError: { code: 21, text: 'no such' },
    fallthrough: ['a.', 'b.'],
  })
  const a =
    'IN A example {\n match (^|[.])ip-(?P<a>[0-9]*)-(?P<b>[0-9]*)[.]example[.]$\n answer "{{ .Name }} 60 IN A 10.1.{{ .Group.a }}.{{.Group.b}}"\n}'
  t.match(of(a)!.answer, [
    { owner: ['name'], ttl: 60, type: 1, data: [[{ text: '10.1.' }, group('a'), { text: '.' }, group('b')]] },
  ])
  const hex =
    'IN A example {\n match "^ip0a(?P<b>[a-f0-9]{2})[.]example[.]$"\n answer "{{ .Name }} IN A 10.0.0.{{ parseInt .Group.b 16 8 }}"\n}'
  t.match(of(hex)!.answer, [
    { ttl: 3600, data: [[{ text: '10.0.0.' }, { number: { group: 'b', base: 16, bits: 8 } }]] },
  ])
  const more =
    'IN MX example {\n match (.*)\n answer "{{ .Name }} 60 IN MX 10 {{ .Name }}" "{{.Name}} 1m IN TXT \\"a b\\" {{ .Remote }}"\n additional "a.example 60 IN {{ .Type }} 5 Mail.example"\n}'
  t.match(of(more), {
    answer: [
      { type: 15, data: [[{ text: '10' }], ['name']] },
      { ttl: 60, type: 16, data: [[{ text: 'a b' }], ['remote']] },
    ],
    additional: [{ owner: [{ text: 'a.example' }], type: 15, data: [[{ text: '5' }], [{ text: 'mail.example.' }]] }],
  })
  t.match(
    of('IN ANY foogle.com {\n match "^foogle\\.com\\.$"\n answer "foogle.com 60 in CNAME google.com"\n upstream\n}')!
      .answer,
    [{ type: 5, data: [[{ text: 'google.com.' }]] }],
  )
})

t.test('placeholders', async (t) => {
  const table: [string, ReturnType<typeof placeholders>][] = [
    ['a {{- .Name -}} b', [{ text: 'a' }, 'name', { text: 'b' }]],
    ['{{/* none */}}{{"}}"}}{{`x`}}{{7}}', [{ text: '}}x7' }]],
    ['{{ "a\\"}}b" }}c', { unknown: '{{ "a\\"}}b" }}' }],
    ['{{ .Name }', { unknown: '{{ .Name }' }],
    ['{{ index .Group "x" }}{{parseInt .Group.y 0 8}}', { unknown: '{{parseInt .Group.y 0 8}}' }],
    [
      '{{index .Group "x"}}{{parseInt (index .Group "y") 10 0}}',
      [{ namedGroup: 'x' }, { number: { group: 'y', base: 10, bits: 64 } }],
    ],
    ['}} {{}}', { unknown: '{{}}' }],
  ]
  for (const [text, wanted] of table) t.same(placeholders(text), wanted, text)
})

t.test('patterns of RE2, for the regex crate', async (t) => {
  const at = { file: 'f', line: 1, column: 1, endLine: 1, brace: null }
  const read = (text: string) => {
    const problems = new Problems()
    const found = pattern({ ...at, text }, problems)
    return found === null
      ? problems.list()[0]!.problem.replace(/^the pattern "(?:[^"\\]|\\.)*" /, '')
      : [found.text, found.groups, ...found.names]
  }
  const R = String.raw
  const table: [string, ReturnType<typeof read>][] = [
    [R`^(.*)\.a-b$`, [R`^(.*)\.a-b$`, 1]],
    [R`(?P<x>a)(?<y>b)(?:c)(?i)d(?i:e)`, ['(?P<x>a)(?P<y>b)(?:c)(?i)d(?i:e)', 2, 'x', 'y']],
    ['a{2,3}b{2,}c{4}?', ['a{2,3}b{2,}c{4}?', 0]],
    ['a{x}{', [R`a\{x\}\{`, 0]],
    [R`[[a-z&&~^]`, [R`[\[a-z\&\&\~\^]`, 0]],
    [R`[]a][^]b][-a-][\w\-_][[:alpha:]-]`, [R`[\]a][^\]b][\-a\-][\w\-_][[:alpha:]\-]`, 0]],
    [R`\Qa.b\E+\<\>\/\_\01\x{41}\x41\pL\p{Greek}\z`, [R`a\.b+<>/_\x{1}\x{41}\x41\pL\p{Greek}\z`, 0]],
    ['a|', ['a|', 0]],
    ['', ['', 0]],
    ['(', 'lacks a )'],
    ['a)', 'has a ) without a ('],
    ['[a', 'lacks a ]'],
    ['*a', 'has "*" after nothing that it could repeat'],
    ['(|*)', 'has "*" after nothing that it could repeat'],
    ['a**', 'repeats a repetition'],
    ['a+??', 'repeats a repetition'],
    ['a{1001}', 'repeats {1001}, which is too often'],
    ['a{3,2}', 'repeats {3,2}, which is too often'],
    ['(?!a)', 'looks around, which RE2 does not do'],
    ['(?<=a)', 'looks around, which RE2 does not do'],
    [R`(a)\1`, R`refers back with \1, which RE2 does not do`],
    ['(?>a)', 'has "(?>a", which RE2 does not know'],
    [R`\Z`, R`has \Z, which RE2 does not know`],
    ['a\\', 'ends with a backslash'],
    ['(?P<a>b)(?P<a>c)', 'has two groups named a'],
    ['a'.repeat(10_001), 'has more than 10000 characters'],
  ]
  for (const [text, wanted] of table) t.same(read(text), wanted, text.slice(0, 30))
})
