import { labelsOf, TYPES, type Question } from '../contract/dns-message.ts'
import type { Chance } from './chance.ts'

/** What is asked by chance: names that there are, and such as are near them. */
export function questionOf(chance: Chance, names: readonly string[]): Question {
  let labels = labelsOf(chance.of(names))
  for (let left = chance.of([0, 0, 0, 1, 1, 2, 3]); left > 0; left--) labels = mutated(chance, labels, names)
  if (chance.below(3) === 0) labels = labels.map((label) => mixed(chance, label))
  const octets = labels.reduce((sum, label) => sum + label.length + 1, 1)
  if (octets > 255) labels = labels.slice(-4)
  const edns = chance.of([undefined, 512, 1232, 4096])
  return { labels, type: typeOf(chance, labels), ...(edns !== undefined && { edns }) }
}

function typeOf(chance: Chance, labels: readonly string[]): number {
  const likely = labels.at(-1)?.toLowerCase() === 'arpa' ? TYPES.PTR : labels[0]?.startsWith('_') ? TYPES.SRV : TYPES.A
  return chance.of([likely, likely, TYPES.A, TYPES.AAAA, TYPES.SRV, ...OTHERS])
}

function mutated(chance: Chance, labels: readonly string[], names: readonly string[]): string[] {
  const at = chance.below(Math.max(1, labels.length))
  const other = labelsOf(chance.of(names))
  switch (chance.below(5)) {
    case 0:
      return labels.toSpliced(at, 1)
    case 1:
      return labels.toSpliced(at, 0, chance.of(STRAY))
    case 2:
      return labels.toSpliced(at, 1, chance.of(STRAY))
    case 3:
      return labels.toSpliced(at, 1, other[chance.below(Math.max(1, other.length))] ?? 'x')
    default:
      return [...other.slice(0, 1 + chance.below(2)), ...labels.slice(at)]
  }
}

const mixed = (chance: Chance, label: string): string =>
  [...label].map((letter) => (chance.below(2) === 0 ? letter.toUpperCase() : letter)).join('')

const OTHERS = [
  ...[TYPES.SRV, TYPES.PTR, TYPES.TXT, TYPES.NS, TYPES.SOA, TYPES.CNAME, TYPES.ANY, TYPES.MX, TYPES.HTTPS, TYPES.AXFR],
  1000,
]
const STRAY = [
  ...['svc', 'pod', 'shop', 'bank', 'lone', 'nowhere', 'web', 'db', '_tcp', '_udp', '_http', 'http', 'tcp', '*', 'x'],
  ...[
    'web-0',
    '10-244-1-9',
    '10-244-1-256',
    'fd00-10-244-1--5',
    '1-2-3',
    '--',
    '-',
    '_',
    'a.b',
    'with space',
    '\u00e9',
  ],
  ...['dns-version', 'ns', 'dns', '0', '10', '244', 'in-addr', 'arpa', 'any', 'x'.repeat(63), 'cluster', 'local'],
]
