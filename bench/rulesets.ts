/** Small rulesets, each with one thing more than another: what `rules` tells the cost of. Texts for nft. */
import { BACKEND_PORT, clusterIP, podIP } from './cluster.ts'

/** One Service of up to two endpoints, from nothing at all to the least that balances. */
export const PARTS = {
  direct: '',
  conntrack: chains({ pre: 'filter hook prerouting priority 0' }) + rule('ct state invalid drop'),
  nat: nat(),
  dnat: nat() + rule(`ip daddr ${clusterIP(0)} tcp dport 80 dnat ip to ${podIP(0)}:${BACKEND_PORT}`),
  map:
    nat() +
    'add map inet bench slots { typeof ip daddr . tcp dport . numgen random mod 1 : ip daddr . tcp dport; }\n' +
    `add element inet bench slots { ${[0, 1].map((i) => `${clusterIP(0)} . 80 . ${i} : ${podIP(i)} . ${BACKEND_PORT}`).join(', ')} }\n` +
    rule('dnat ip to ip daddr . tcp dport . numgen random mod 2 map @slots'),
} as const

/** Kinds of rules that ours are made of. None decides anything: each is tried, and the packet goes on. */
export const KINDS: Readonly<Record<string, string>> = {
  'compare an address': 'ip saddr 203.0.113.1 accept',
  'test a mark': 'meta mark & 0x4000 == 0x4000 accept',
  'test ct status': 'ct status dying accept',
  'jump and return': 'jump nothing',
  'draw a number': 'numgen random mod 65536 65535 accept',
  'hash an address': 'jhash ip saddr mod 65536 seed 0x1 65535 accept',
  'look an address up': 'ip daddr @addresses accept',
  'look two addresses up': 'ip saddr . ip daddr @pairs accept',
  'look address, protocol, port up': 'ip daddr . meta l4proto . th dport vmap @ports',
  'the same and a range of clients': 'ip daddr . meta l4proto . th dport . ip saddr @ranges accept',
  'ask the routes (fib)': 'fib saddr type blackhole accept',
}

/** The rule so often that it can be weighed. */
export const repeated = (kind: string): string => nat() + SETS + rule(KINDS[kind]!).repeat(COPIES)
export const COPIES = 500

function chains(hooks: Readonly<Record<string, string>>): string {
  const lines = Object.entries(hooks).map(([name, hook]) => `add chain inet bench ${name} { type ${hook}; }\n`)
  return `add table inet bench\n${lines.join('')}`
}

/** Where NAT is hooked in. Without one rule that could translate, the kernel would not follow connections. */
function nat(): string {
  return (
    chains({
      pre: 'nat hook prerouting priority dstnat',
      out: 'nat hook output priority -100',
      post: 'nat hook postrouting priority srcnat',
    }) + rule('ip daddr 203.0.113.1 dnat ip to 203.0.113.2')
  )
}

function rule(text: string): string {
  return `add rule inet bench pre ${text}\n`
}

/** With an element each, which no packet of ours is. */
const SETS = `add chain inet bench nothing
add set inet bench addresses { typeof ip daddr; }
add element inet bench addresses { 203.0.113.1 }
add set inet bench pairs { typeof ip saddr . ip daddr; }
add element inet bench pairs { 203.0.113.1 . 203.0.113.2 }
add map inet bench ports { typeof ip daddr . meta l4proto . th dport : verdict; }
add element inet bench ports { 203.0.113.1 . tcp . 80 : accept }
add set inet bench ranges { typeof ip daddr . meta l4proto . th dport . ip saddr; flags interval; }
add element inet bench ranges { 203.0.113.1 . tcp . 80 . 198.51.100.0/24 }
`
