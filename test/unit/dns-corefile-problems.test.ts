/** Corefiles that cannot be used: what is said of each, and where. */
import t from 'tap'
import { access, RESOLV_CONF, wrong } from './dns-corefile-world.ts'

t.test('of the grammar', async (t) => {
  const table: [string, string[]][] = [
    ['', ['1:1 there is no server block; write . { ... }']],
    ['# nothing', ['1:1 there is no server block; write . { ... }']],
    ['. {\n whoami', ['1:3 this block is not closed; write } where it ends']],
    ['. {\n cache {\n}', ['1:3 this block is not closed; write } where it ends']],
    ['. {\n}\n}', ['3:1 no block is open here to end; remove the }, or look for one too many above']],
    ['{\n whoami\n}', ['1:1 this block has no zone in front of it; write a zone, as in . { ... }']],
    [
      '. {\n kubernetes a\n {\n  ttl 5\n }\n}',
      ['3:2 a block opens without anything in front of it; put the { at the end of the line of what it belongs to'],
    ],
    [
      '. {\n log "a\n}',
      ['2:6 the quote is not closed; end it with "', '1:3 this block is not closed; write } where it ends'],
    ],
    ['a,\n{\n}', ['1:1 a zone should follow the comma; remove the comma']],
    [
      '(s)\nwhoami',
      ['1:1 snippet "s" has no block; write (NAME) { ... }', '1:1 there is no server block; write . { ... }'],
    ],
    ['(s) {\n}\n(s) {\n}\n. {\n}', ['3:1 snippet "s" is there already; give one of them another name']],
  ]
  for (const [text, said] of table) t.same([...wrong(text)].sort(), [...said].sort(), JSON.stringify(text))
})

t.test('of imports', async (t) => {
  const files = {
    '/self': 'import self',
    '/a': 'import b',
    '/b': 'import a',
    '/d/x': 'any\nchache',
    '/etc/resolv.conf': RESOLV_CONF,
  }
  const table: [string, string[]][] = [
    [
      '. {\n import\n}',
      ['2:2 import takes one name; write import NAME, where NAME is a snippet, a file, or files: conf.d/*.conf'],
    ],
    [
      '. {\n import a b\n}',
      ['2:2 import takes one name; write import NAME, where NAME is a snippet, a file, or files: conf.d/*.conf'],
    ],
    ['. {\n import none\n}', ['2:9 there is no file "/none"; mount it, or mend the path']],
    ['. {\n import d\n}', ['2:9 "/d" is a folder; name a file']],
    ['. {\n import **\n}', ['2:9 "**" has too many wild cards; write at most one * and one ?, and no [ ]']],
    ['. {\n import [a]\n}', ['2:9 "[a]" has too many wild cards; write at most one * and one ?, and no [ ]']],
    ['. {\n import self\n}', ['/self:1:8 "/self" imports itself; take one import out of the circle']],
    ['. {\n import a\n}', ['/b:1:8 "/a" imports itself; take one import out of the circle']],
    [
      'import Corefile',
      [
        '1:8 "/Corefile" imports itself; take one import out of the circle',
        '1:1 there is no server block; write . { ... }',
      ],
    ],
    ['(s) {\n import s\n}\n. {\n import s\n}', ['2:9 "(s)" imports itself; take one import out of the circle']],
    [
      '(s) {\n any\n}\nimport s\n. {\n}',
      ['4:8 snippet "s" holds directives, no server blocks; import it inside of a server block'],
    ],
    ['. {\n import d/x\n}', ['/d/x:2:1 "chache" is no plugin; did you mean cache?']],
  ]
  const given = access({ ...files, '/Corefile': 'import Corefile' })
  for (const [text, said] of table) t.same([...wrong(text, given)].sort(), [...said].sort(), JSON.stringify(text))
})

t.test('of zones and ports', async (t) => {
  const table: [string, string[]][] = [
    [
      'example.org{\n whoami\n}',
      [
        '1:1 "example.org{" is no zone; put a space before the {',
        '3:1 no block is open here to end; remove the }, or look for one too many above',
      ],
    ],
    ['a\\01b {\n}', ['1:1 "a\\\\01b" is no zone; write labels of 1 to 63 octets with dots between them']],
    ['a\\256 {\n}', ['1:1 "a\\\\256" is no zone; write labels of 1 to 63 octets with dots between them']],
    ['a..b {\n}', ['1:1 "a..b" is no zone; write labels of 1 to 63 octets with dots between them']],
    [
      `${'a'.repeat(64)} {\n}`,
      [`1:1 "${'a'.repeat(60)}..." is no zone; write labels of 1 to 63 octets with dots between them`],
    ],
    ['.:0 {\n}', ['1:1 ".:0" has no port after its colon; write a port from 1 to 65535']],
    ['.: {\n}', ['1:1 ".:" has no port after its colon; write a port from 1 to 65535']],
    ['https://. {\n}', ['1:1 queries over https are not served; use dns:// or tls://, or remove this server']],
    ['ftp://. {\n}', ['1:1 "ftp" is no transport; use dns:// or tls://']],
    ['10.0.0.0/33 {\n}', ['1:1 "10.0.0.0/33" is no network; write ADDRESS/BITS, like 10.0.0.0/8']],
    ['tls://. {\n}', ['1:1 this server has no certificate; write tls CERT KEY in its block']],
    [
      'a {\n}\nA.:53 {\n}',
      ['3:1 dns://a.:53 is served already: line 1; remove one of them, or bind them to addresses'],
    ],
    ['a a {\n}', ['1:3 dns://a.:53 is served already: line 1; remove one of them, or bind them to addresses']],
    [
      'a {\n bind 10.0.0.5\n}\na {\n}',
      ['4:1 dns://a.:53 is served already: line 1; remove one of them, or bind them to addresses'],
    ],
    [
      'a {\n}\na {\n bind 10.0.0.5\n}',
      ['3:1 dns://a.:53 is served already: line 1; remove one of them, or bind them to addresses'],
    ],
    [
      'a {\n bind lo\n}\na {\n bind ::1\n}',
      ['4:1 dns://a.:53 is served already: line 1; remove one of them, or bind them to addresses'],
    ],
    ['a {\n bind lo\n}\na {\n bind eth0\n}\na:54 {\n}\ntls://a {\n tls c k\n}', []],
  ]
  for (const [text, said] of table) t.same([...wrong(text)].sort(), [...said].sort(), JSON.stringify(text))
})

/** Lines of one server, from line 2 on, with an indent of one. */
t.test('of plugins', async (t) => {
  const table: [string, string | string[]][] = [
    ['chache 30', '2:2 "chache" is no plugin; did you mean cache?'],
    ['qwertyuiop', /known: acl, any,/.source],
    ['etcd', '2:2 the plugin "etcd" is not supported; remove it, and forward the zone to a server that reads etcd'],
    ['Errors', '2:2 "Errors" is no plugin; did you mean errors?'],
    ['cache 0', '2:8 the TTL is "0"; write a number from 1 to 2147483647'],
    ['cache {\n  sucess 5\n }', '3:3 "sucess" is no option of cache; did you mean success?'],
    ['cache {\n  success x\n }', '3:11 the capacity is "x"; write a number from 0 to 10000000'],
    ['cache {\n  success\n }', '3:3 "success" takes 1 to 3 words after it, and has 0; add what is missing'],
    ['cache {\n  prefetch 1 1m 5%\n }', '3:17 the percentage is "5"; write a number from 10 to 90'],
    ['cache {\n  prefetch 1 1m 50\n }', '3:17 the percentage lacks its sign; write it as 10%'],
    ['cache {\n  serve_stale 1h later\n }', '3:18 "later" is no mode of serve_stale; known: immediate, verify'],
    [
      'cache {\n  serve_stale 1h immediate 30s 30s 30s\n }',
      '3:36 serve_stale immediate takes one word less; remove the last one',
    ],
    [
      'cache {\n  serve_stale 1h immediate 500ms\n }',
      '3:28 the TTL of stale answers has a part of a second; write whole seconds: 30s',
    ],
    [
      'cache {\n  serve_stale_policy prefer_positive\n }',
      '3:3 serve_stale_policy is for serve_stale; write serve_stale, too',
    ],
    [
      'cache {\n  servfail 6m\n }',
      '3:12 the time of a SERVFAIL is "6m"; write a duration from 0 to 5m, like 5s, 250ms or 1m30s',
    ],
    ['cache {\n  disable sucess\n }', '3:11 "sucess" is no half of a cache; did you mean success?'],
    ['cache {\n  keepttl {\n  }\n }', '3:3 keepttl takes no block; remove the block'],
    ['cache\n cache', '3:2 "cache" is in this server block already; remove one of them'],
    ['health 8080', '2:9 "8080" is nowhere to listen on; write ADDRESS:PORT or :PORT, IPv6 addresses in brackets'],
    [
      'health {\n  lameduck 5\n }',
      '3:12 the time of a lame duck is "5"; write a duration from 0 to 1h, like 5s, 250ms or 1m30s',
    ],
    ['ready :8181 :8182', '2:14 "ready" takes 0 to 1 word after it, and has 2; remove the rest'],
    [
      'prometheus host:9153',
      '2:13 "host:9153" is nowhere to listen on; write ADDRESS:PORT or :PORT, IPv6 addresses in brackets',
    ],
    ['errors stderr', '2:9 errors go to stdout, not to "stderr"; write stdout, or nothing'],
    ['errors {\n  consolidate 5m "(" warning\n }', '3:18 the pattern "(" lacks a ); write a regular expression of RE2'],
    ['log {\n  class denials\n }', '3:9 "denials" is no class; did you mean denial?'],
    ['bind', '2:2 "bind" takes at least 1 word after it, and has 0; add what is missing'],
    ['bind eth1', '2:7 "eth1" is no address, and no device here; did you mean eth0?'],
    ['bind fe80::1%eth0', '2:7 IPv6 link-local addresses are not listened on; use one of fd00::/8, or an IPv4 address'],
    ['bind lo {\n  except lo\n }', '2:2 bind leaves no address; name fewer of them in except'],
    ['bufsize 400', '2:10 the size is "400"; write a number from 512 to 4096'],
    ['reload 1s', '2:9 the interval is "1s"; write a duration from 2s to 24h, like 5s, 250ms or 1m30s'],
    ['reload 30s 10ms', '2:13 the jitter is less than a second; write 0 or at least 1s'],
    ['timeouts {\n }', '2:2 timeouts says none; write read, write or idle with a duration in its block'],
    ['forward .', '2:2 "forward" takes at least 2 words after it, and has 1; add what is missing'],
    [
      'forward . dns.example',
      '2:12 "dns.example" is a name, or a file that is not there; give the address of the upstream',
    ],
    ['forward . /no/such', '2:12 there is no file "/no/such"; mount it, or mend the path'],
    ['forward . https://1.1.1.1', '2:12 upstreams over "https" are not supported; use dns:// or tls://'],
    [
      'forward . 1.1.1.1:99999',
      '2:12 "1.1.1.1:99999" is a name, or a file that is not there; give the address of the upstream',
    ],
    [
      'forward . tls://9.9.9.9%dns.quad9.net {\n  tls_servername x\n }',
      '2:12 the server name is given twice; remove it here, or tls_servername',
    ],
    ['forward 10.0.0.0/7 1.1.1.1', '2:10 "10.0.0.0/7" is 2 zones; write a forward for each of them'],
    ['forward . 1.1.1.1 {\n  policy rand\n }', '3:10 "rand" is no policy of forward; did you mean random?'],
    ['forward . 1.1.1.1 {\n  max_age 1s\n }', '2:2 max_age is less than expire; make it longer, or expire shorter'],
    ['forward . 1.1.1.1 {\n  next NXDOMIAN\n }', '3:8 "nxdomian" is no rcode; did you mean nxdomain?'],
    ['forward . 1.1.1.1 {\n  failover NOERROR\n }', '3:3 NOERROR is no failure; remove it'],
    [
      `forward . ${Array.from({ length: 16 }, (_, i) => `1.1.1.${i}`).join(' ')}`,
      '2:12 there are 16 upstreams; give at most 15',
    ],
    ['kubernetes in-addr.arpa', '2:2 kubernetes has reverse zones only; give it a zone of names, as cluster.local'],
    ['kubernetes a {\n  pods verify\n }', '3:8 "verify" is no mode of pods; did you mean verified?'],
    ['kubernetes a {\n  ttl 3601\n }', '3:7 the TTL is "3601"; write a number from 0 to 3600'],
    [
      'kubernetes a {\n  labels a==\n  namespaces\n }',
      ['4:3 "namespaces" takes at least 1 word after it, and has 0; add what is missing'],
    ],
    [
      'kubernetes a {\n  labels (a\n }',
      '3:10 "(a" is no label selector; write key=value, key!=value, key in (a,b), key or !key',
    ],
    [
      'kubernetes a {\n  namespaces x\n  namespace_labels y\n }',
      '2:2 namespaces and namespace_labels are both given; remove one of them',
    ],
    [
      'kubernetes a {\n  multicluster b\n }',
      '2:2 the multicluster zone b. is none of its zones; write kubernetes a. b.',
    ],
    ['kubernetes a {\n  apiserver_qps -1\n }', '3:17 apiserver_qps is "-1"; write a number from 0 to 1000000'],
    ['kubernetes a {\n  ignore services\n }', '3:10 "services" is no thing to ignore; known: empty_service'],
    [
      'hosts {\n  10.0.0 a\n  10.0.0.1\n  tttl 5\n }',
      [
        '3:3 "10.0.0" is no address; write ADDRESS NAME...',
        '4:3 no name follows the address; write ADDRESS NAME...',
        '5:3 "tttl" is no option of hosts; did you mean ttl?',
      ],
    ],
    [
      'hosts {\n  fallthrough_unsupported\n }',
      '2:2 fallthrough_unsupported is for fallthrough; write fallthrough, too',
    ],
    ['rewrite', '2:2 rewrite does not say what; write one of name, type, class, edns0, ttl, rcode, cname after it'],
    ['rewrite nmae a b', '2:10 "nmae" is no field that rewrite changes; did you mean name?'],
    ['rewrite name a', '2:10 a name rule takes two names; write name [HOW] FROM TO'],
    ['rewrite name regexp a b', '2:15 "regexp" is no way to match a name; did you mean regex?'],
    [
      'rewrite name regex (a) {2}',
      '2:25 {2} is no group: the pattern has 1; use {0} for all that matched, or add a group',
    ],
    [
      'rewrite name regex (?=a) b',
      '2:21 the pattern "(?=a)" looks around, which RE2 does not do; write a regular expression of RE2',
    ],
    ['rewrite name suffix .a .b answer', '2:28 answer does not say what; write answer auto, name or value'],
    ['rewrite name suffix .a .b auto', '2:28 "auto" is too much for a name rule; remove it, or write answer in front'],
    [
      'rewrite name regex a b answer auto answer name c d',
      '2:32 answer auto does not go with answer name; remove one of them',
    ],
    ['rewrite ttl a 30-20', '2:16 "30-20" is no TTL; write SECONDS, MIN-MAX, MIN- or -MAX'],
    ['rewrite ttl a -', '2:16 "-" is no TTL; write SECONDS, MIN-MAX, MIN- or -MAX'],
    ['rewrite type A AAAAA', '2:17 "aaaaa" is no record type; did you mean aaaa?'],
    ['rewrite name exact a b metadata', '2:25 metadata goes with regex rules only; write name regex, or remove it'],
    [
      'rewrite name regex (a) {2}.b metadata',
      '2:25 {2} is no group: the pattern has 1; use {0} for all that matched, or add a group',
    ],
    ['rewrite name regex a {b} metadata', '2:23 "{b}" is no label; write {1} or {kubernetes/service}'],
    [
      'rewrite name regex (a) {1}}.c metadata',
      '2:25 a brace has no other in "{1}}.c"; write {1} or {kubernetes/service}',
    ],
    ['rewrite edns0 local set 0x10000 a', '2:26 "0x10000" is no option code; write 0xffee or 65518'],
    ['rewrite edns0 local set 1 {qnam}', '2:28 "qnam" is no variable; did you mean qname?'],
    ['rewrite edns0 local set 1 0xabc', '2:28 "0xabc" is not hexadecimal; write two digits for each octet'],
    ['rewrite edns0 subnet set 33 56', '2:27 the length of IPv4 subnets is "33"; write a number from 0 to 32'],
    ['rewrite answer name a b', '2:10 an answer is rewritten by a name rule; write name FROM TO answer ...'],
    ['template IN', '2:2 "template" takes at least 2 words after it, and has 1; add what is missing'],
    [
      'template IN A {\n  answer "{{ if .Name }}x{{ end }} 60 IN A 1.1.1.1"\n }',
      '3:10 "{{ if .Name }}" cannot be filled in; use .Name, .Zone, .Class, .Type, .Remote, .Group.NAME, index .Match N or parseInt .Group.NAME BASE BITS',
    ],
    [
      'template IN A {\n  answer "{{ .Name }} 60 IN A {{ .Group.x }}"\n }',
      '3:10 there is no group named x in a match; write (?P<x>...) in a match',
    ],
    [
      'template IN A {\n  match (a)\n  answer "{{ .Name }} IN A {{ index .Match 2 }}"\n }',
      '4:10 there is no group 2 in a match; mend the number',
    ],
    [
      'template IN A {\n  answer "x 60 IN A 1.1.1"\n }',
      '3:10 "x 60 IN A 1.1.1" is no record of type A; the data of A is ipv4',
    ],
    [
      'template IN A {\n  answer "x 60 IN NAPTR 1"\n }',
      '3:10 "x 60 IN NAPTR 1" is no record whose type is known; write OWNER TTL IN TYPE DATA, with one of A, AAAA, CNAME, NS, PTR, MX, SRV, TXT, CAA, SOA',
    ],
    ['acl {\n  alow net *\n }', '3:3 "alow" is no action of acl; did you mean allow?'],
    [
      'acl {\n  block 10.0.0.0/8\n }',
      '3:9 "10.0.0.0/8" is neither type nor net; write type TYPE... and net NETWORK...',
    ],
    ['acl {\n  block type net *\n }', '3:9 type lists nothing; list what it is for, or * for everything'],
    ['header {\n  response set ad\n }', '3:16 "ad" is no flag; did you mean aa?'],
    [
      'dns64 64:ff9b::/97',
      '2:8 "64:ff9b::/97" is no prefix for it; write an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits',
    ],
    [
      'loadbalance weighted f',
      '2:14 weights are not supported; write loadbalance, or give better addresses more names',
    ],
    ['file /none {\n  reload 0\n }', '/none:1:1 there is no file "/none"; mount it, or mend the path'],
    ['tls a', '2:2 "tls" takes 2 to 3 words after it, and has 1; add what is missing'],
    ['local {\n  localhost_prefix maybe\n }', '3:20 "maybe" is no switch; known: off, on'],
    ['whoami x', '2:9 "whoami" takes nothing after it, and has 1; remove the rest'],
  ]
  for (const [lines, wanted] of table) {
    const said = wrong(`example.org {\n ${lines}\n}`)
    if (typeof wanted === 'string' && wanted.startsWith('known')) t.match(said[0], new RegExp(wanted), lines)
    else t.same([...said].sort(), [wanted].flat().sort(), lines)
  }
})

t.test('all of a file, in its order, and no more than twenty', async (t) => {
  const lines = Array.from({ length: 30 }, (_, i) => ` x${i}y`)
  const said = wrong(`. {\n${lines.join('\n')}\n}`)
  t.equal(said.length, 21)
  t.match(said[0], /^2:2 "x0y"/)
  t.match(said[19], /^21:2 "x19y"/)
  t.equal(said[20], '21:2 10 more problems are not listed; mend those that are listed; the others then show')
  t.same(
    wrong('. {\n bufsize 1\n any x\n cache 0\n}').map((it) => it.split(' ')[0]),
    ['2:10', '3:6', '4:8'],
  )
})
