import { familyOf } from '../../cluster/address.ts'
import type { Family } from '../../cluster/protocol.ts'
import { CornerTarget } from '../../kernel/corner-target.ts'
import type { Content, CornerOptions, Place } from '../../kernel/iptables-corner.ts'
import type { EgressRow } from '../rows.ts'

/** As the target of nftables, for kernels without: one chain of table nat, behind that of Services, there only while there are rows. */
export class IptablesMasqueradeTarget extends CornerTarget<EgressRow> {
  constructor(options: CornerOptions) {
    super('masquerade', PLACE, contents, options)
  }
}

function contents(rows: readonly EgressRow[]): ReadonlyMap<Family, Content> {
  const contents = new Map<Family, Content>()
  for (const family of [4, 6] as const) {
    const of = (kind: EgressRow['kind']): readonly string[] =>
      rows.filter((row) => row.kind === kind && familyOf(row.cidr) === family).map(({ cidr }) => cidr)
    const sources = of('source').toSorted()
    if (sources.length === 0) continue
    const rules = sources.map((cidr) => `${from(cidr)}-m set ! --match-set ${setName(family)} dst ${MASQUERADE}`)
    contents.set(family, {
      chains: [{ table: 'nat', rules: new Map([[CHAIN, rules]]), jumps: JUMPS }],
      set: { name: setName(family), type: 'hash:net', members: new Set(of('kept').flatMap(members)) },
    })
  }
  return contents
}

/** A set of ranges cannot hold the one of all addresses, but its halves. A range of one address has no length. */
function members(cidr: string): readonly string[] {
  if (cidr.endsWith('/0')) return cidr.includes(':') ? ['::/1', '8000::/1'] : ['0.0.0.0/1', '128.0.0.0/1']
  return [cidr.replace(cidr.includes(':') ? /\/128$/ : /\/32$/, '')]
}

const from = (cidr: string): string => (cidr.endsWith('/0') ? '' : `-s ${cidr} `)
const CHAIN = 'FAIRLEAD-EGRESS'
const JUMPS = new Map([['POSTROUTING', `-j ${CHAIN}`]])
const MASQUERADE = '-j MASQUERADE --random-fully'
const setName = (family: Family): string => `FAIRLEAD-KEPT${family}`
const PLACE: Place = { what: 'masquerading', tables: [{ table: 'nat', names: [CHAIN] }], set: setName }
