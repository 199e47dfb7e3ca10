/** What hosts and file read: hosts files, zone files, and what they come to as rows. */
import t from 'tap'
import type { Source } from '../../src/dns/corefile/configuration.ts'
import { Problems, sentence } from '../../src/dns/corefile/problem.ts'
import type { FileRecord } from '../../src/dns/corefile/record.ts'
import { rowsOf } from '../../src/dns/corefile/sources.ts'
import { access, configuration, wrong } from './dns-corefile-world.ts'

const HOSTS: Source = { set: 'h0', kind: 'hosts', path: '/hosts', zones: ['.'], reloadMs: 0, reverse: true, inline: [] }
const ZONE: Source = { ...HOSTS, set: 'f0', kind: 'file', path: '/db', zones: ['example.org.'], reverse: false }

/** Rows as `name TYPE data`, then what was wrong with them. */
function read(text: string | null, source: Source): { rows: string[]; problems: string[]; warnings: string[] } {
  const [problems, warnings] = [new Problems(), new Problems()]
  const files = text === null ? {} : { [source.path]: text }
  const rows = rowsOf(source, access(files), problems, warnings).flatMap(({ set, name, records, object }) => {
    t.same([set, object], [source.set, source.path])
    return records.map((record) => `${name} ${show(record)}`)
  })
  return { rows, problems: problems.list().map(sentence), warnings: warnings.list().map(sentence) }
}

function show({ type, ttl, ...data }: FileRecord): string {
  const values = Object.values(data).map((value) => (Array.isArray(value) ? JSON.stringify(value) : String(value)))
  return [type, ...(ttl === undefined ? [] : [`${ttl}s`]), ...values].join(' ')
}

t.test('hosts files', async (t) => {
  const text =
    '# all\n127.0.0.1\tLocalhost a.example.org # b\r\n::1 localhost\n10.0.0.1 *.w.example.org x\n10.0.0.1 x y\n\nfe80::1%eth0 z\n'
  t.same(read(text, HOSTS).rows, [
    'localhost. A 127.0.0.1',
    'localhost. AAAA ::1',
    '1.0.0.127.in-addr.arpa. PTR localhost.',
    '1.0.0.127.in-addr.arpa. PTR a.example.org.',
    'a.example.org. A 127.0.0.1',
    `1${'.0'.repeat(31)}.ip6.arpa. PTR localhost.`,
    '*.w.example.org. A 10.0.0.1',
    'x. A 10.0.0.1',
    '1.0.0.10.in-addr.arpa. PTR x.',
    '1.0.0.10.in-addr.arpa. PTR y.',
    'y. A 10.0.0.1',
    'z. AAAA fe80::1',
    `1${'.0'.repeat(28)}.8.e.f.ip6.arpa. PTR z.`,
  ])
  const few = {
    ...HOSTS,
    zones: ['example.org.'],
    reverse: false,
    inline: [{ address: '10.0.0.9', names: ['a.example.org.', 'b.'] }],
  }
  t.same(read(text, few).rows, [
    'a.example.org. A 127.0.0.1',
    'a.example.org. A 10.0.0.9',
    '*.w.example.org. A 10.0.0.1',
  ])
  t.same(read(null, few).rows, ['a.example.org. A 10.0.0.9'])
  t.same(read(null, few).warnings, ['/hosts:1:1: there is no file "/hosts"; mount it, or mend the path'])
})

t.test('lines of a hosts file that cannot be used are left out', async (t) => {
  const { rows, problems, warnings } = read('010.0.0.1 a\n10.0.0.1 a..b c\nx y\n', HOSTS)
  t.same(rows, ['c. A 10.0.0.1', '1.0.0.10.in-addr.arpa. PTR c.'])
  t.same(problems, [])
  t.same(warnings, [
    '/hosts:1:1: "010.0.0.1" is no address; the line is left out; write ADDRESS NAME...',
    '/hosts:2:1: "a..b" is no name; it is left out; mend it',
    '/hosts:3:1: "x" is no address; the line is left out; write ADDRESS NAME...',
  ])
})

t.test('a hosts file has a bound', async (t) => {
  const { rows, warnings } = read(`10.0.0.1${' a'.repeat(200_001)}\n10.0.0.2 b\n`, HOSTS)
  t.same(rows, ['a. A 10.0.0.1', '1.0.0.10.in-addr.arpa. PTR a.'])
  t.same(warnings, ['/hosts:1:1: 2 names above 200000 are left out; use a zone file'])
})

t.test('a zone file', async (t) => {
  const text = String.raw`
$TTL 30m
@       IN SOA ns.example.org. hostmaster (
            2024010101 ; serial
            7200 30m 2w 1h30m )
        NS  ns
        IN  5m MX 10 mail
        300 IN TXT "v=spf1 \"x\" ; no comment" two "\065\\"
ns      A   10.0.0.1
        AAAA FD00::1
mail.example.org. 0 A 10.0.0.2
_http._tcp SRV 0 5 80 www
www     CNAME ns
*.wild  A 10.0.0.3
a\.b    A 10.0.0.4
$ORIGIN sub
x       A 10.0.0.5
@       CAA 0 issue "ca.example"
y       TYPE65 \# 3 00 0100
z       IN SSHFP \# 2 aBcD
1.2     PTR x
`
  const { rows, problems, warnings } = read(text, ZONE)
  t.same(problems, [])
  t.same(warnings, [])
  t.same(rows, [
    'example.org. SOA 1800s ns.example.org. hostmaster.example.org. 2024010101 7200 1800 1209600 5400',
    'example.org. NS 1800s ns.example.org.',
    'example.org. MX 300s 10 mail.example.org.',
    String.raw`example.org. TXT 300s ["v=spf1 \"x\" ; no comment","two","A\\"]`,
    'ns.example.org. A 1800s 10.0.0.1',
    'ns.example.org. AAAA 1800s fd00::1',
    'mail.example.org. A 0s 10.0.0.2',
    '_http._tcp.example.org. SRV 1800s 0 5 80 www.example.org.',
    'www.example.org. CNAME 1800s ns.example.org.',
    '*.wild.example.org. A 1800s 10.0.0.3',
    String.raw`a\046b.example.org. A 1800s 10.0.0.4`,
    'x.sub.example.org. A 1800s 10.0.0.5',
    'sub.example.org. OTHER 1800s 257 0005697373756563612e6578616d706c65',
    'y.sub.example.org. OTHER 1800s 65 000100',
    'z.sub.example.org. OTHER 1800s 44 abcd',
    '1.2.sub.example.org. PTR 1800s x.sub.example.org.',
  ])
})

t.test('one file for several zones', async (t) => {
  const { rows, warnings } = read('@ SOA ns h 1 2 3 4 5\nns A 10.0.0.1\nx.a. A 10.0.0.2\n', {
    ...ZONE,
    zones: ['a.', 'b.'],
  })
  t.same(
    rows.map((it) => it.split(' ').slice(0, 2).join(' ')),
    ['a. SOA', 'ns.a. A', 'x.a. A', 'b. SOA', 'ns.b. A'],
  )
  t.same(warnings, ['/db:3:1: x.a. is not in b. and left out; move it to the file of its zone'])
})

t.test('zone files that cannot be used', async (t) => {
  const soa = '@ SOA ns h 1 2 3 4 5\n'
  const table: [string, string[]][] = [
    ['', ['1:1 example.org. has no SOA record; write @ IN SOA PRIMARY MAILBOX 1 7200 1800 86400 5']],
    [`${soa}a A 10.0.0`, ['2:1 this is no record of type A; its data is ipv4']],
    [`${soa}a A 10.0.0.1 2`, ['2:1 this is no record of type A; its data is ipv4']],
    [`${soa}a AA 10.0.0.1`, ['2:1 "AA" is no type of record; did you mean A?']],
    [`${soa}a LOC 1 2`, ['2:1 records of type LOC are not read; write it as TYPE29 \\# LENGTH HEX (RFC 3597)']],
    [`${soa}a DS 1 8 2 abc`, ['2:1 this is no record of type DS; its data is u16 u8 u8 hex']],
    [`${soa}a NAPTR 1 2`, ['2:1 this is no record of type NAPTR; its data is u16 u16 text text text name']],
    [`${soa}a TYPE65 \\# 3 00`, ['2:1 this is no opaque record; write TYPE65 \\# LENGTH HEX']],
    [`${soa}a..b A 10.0.0.1`, ['2:1 "a..b" is no name; mend it']],
    [
      `${soa}a CNAME b\na A 10.0.0.1`,
      ['3:1 a.example.org. has a CNAME record and another; remove one of them (RFC 1034 3.6.2)'],
    ],
    [`${soa}${soa}`, ['2:1 there are two SOA records; remove one of them']],
    [
      `${soa}a SOA ns h 1 2 3 4 5`,
      ['2:1 the SOA record is of a.example.org., not of example.org.; give it to the zone: @'],
    ],
    [`${soa}$INCLUDE x`, ['2:1 "$INCLUDE" is not supported; write out what it stands for']],
    [`${soa}$TTL x`, ['2:1 $TTL has no TTL; write $TTL 3600, or $TTL 1h']],
    [`${soa}a TXT "b`, ['2:7 the quote is not closed; end it with "']],
    [`${soa}a TXT (b`, ['2:1 a ( is not closed; write ) where the record ends']],
    [`${soa}a A 10.0.0.1 )`, ['2:14 no ( is open here; remove the )']],
    [` A 10.0.0.1\n${soa}`, ['1:2 the first record has no owner; write @, or a name']],
  ]
  for (const [text, said] of table)
    t.same(
      read(text, ZONE).problems.map((it) => it.replace('/db:', '').replace(': ', ' ')),
      said,
      encodeURI(text),
    )
})

t.test('files that a Corefile names', async (t) => {
  const files = { '/db': '@ SOA ns h 1 2 3 4 5\n', '/bad': 'x', '/etc/hosts': '10.0.0.1 x\n' }
  const found = configuration('. {\n file /db a\n hosts {\n 10.0.0.2 y\n fd00::2 y\n }\n}', access(files))
  t.same(
    found.names.map(({ set, name }) => `${set.slice(0, 1)} ${name}`),
    [
      'h x.',
      'h 1.0.0.10.in-addr.arpa.',
      'h y.',
      'h 2.0.0.10.in-addr.arpa.',
      `h 2${'.0'.repeat(29)}.d.f.ip6.arpa.`,
      'f a.',
    ],
  )
  t.same(configuration('. {\n file /none\n}', access(files)).warnings.map(sentence), [
    '/none:1:1: there is no file "/none"; mount it, or mend the path',
  ])
  t.same(wrong('. {\n file /bad\n}', access(files)), [
    '/bad:1:1 "" is no type of record; write [OWNER] [TTL] [IN] TYPE DATA',
    '/bad:1:1 . has no SOA record; write @ IN SOA PRIMARY MAILBOX 1 7200 1800 86400 5',
  ])
})

t.test('types whose data is octets', async (t) => {
  const soa = '@ SOA ns host 1 2 3 4 5\n'
  for (const [text, code, data] of [
    ['a DNAME b.example.net.', 39, '0162076578616d706c65036e657400'],
    ['a DNAME b', 39, '0162076578616d706c65036f726700'],
    ['a DS 60485 5 1 2BB1 83AF', 43, 'ec4505012bb183af'],
    ['a DNSKEY 256 3 5 AQPS\tmw==', 48, '010003050103d29b'],
    ['a SSHFP 2 1 0123', 44, '02010123'],
    ['_443._tcp TLSA 3 1 1 ab', 52, '030101ab'],
    ['a NAPTR 100 10 "u" "sip+E2U" "!^.*$!x!" .', 35, '0064000a0175077369702b45325508215e2e2a2421782100'],
    ['a HINFO "x" y', 13, '01780179'],
    ['a URI 10 1 "ftp://x"', 256, '000a00016674703a2f2f78'],
    ['a RP a\\.b.c. .', 17, '03612e6201630000'],
    ['a AFSDB 1 \\255.', 18, '000101ff00'],
  ] as const) {
    const { rows, problems } = read(`${soa}${text}\n`, ZONE)
    t.same([problems, rows[1]?.replace(/^[^ ]+ /, '')], [[], `OTHER 3600s ${code} ${data}`], text)
  }
})
