import { familyOf } from '../../cluster/address.ts'
import type { Family } from '../../cluster/protocol.ts'
import { CornerTarget } from '../../kernel/corner-target.ts'
import type { Content, CornerOptions, Place } from '../../kernel/iptables-corner.ts'
import { DNS_PORT, type LocalAddress } from '../rows.ts'

/**
 * As the target of nftables, for kernels without: two chains of table raw. Connections are not remembered, as with NodeLocal
 * DNSCache: one over TCP that is under way when what is served changes, breaks.
 */
export class IptablesNotrackTarget extends CornerTarget<LocalAddress> {
  constructor(options: CornerOptions) {
    super('node-local queries', PLACE, contents, options)
  }
}

function contents(rows: readonly LocalAddress[]): ReadonlyMap<Family, Content> {
  const families = ([4, 6] as const).map((family) => rows.filter(({ ip }) => familyOf(ip) === family))
  return new Map(families.filter((each) => each.length > 0).map((each) => [familyOf(each[0]!.ip), content(each)]))
}

/** Of one family. */
function content(rows: readonly LocalAddress[]): Content {
  const name = setName(familyOf(rows[0]!.ip))
  const bits = name.endsWith('6') ? 128 : 32
  const ips = rows.map(({ ip }) => ip).sort()
  const queries = PROTOCOLS.map(
    (of) => `-p ${of} -m ${of} --dport ${DNS_PORT} -m set --match-set ${name} dst ${NOTRACK}`,
  )
  const answers = ips.flatMap((ip) =>
    PROTOCOLS.map((of) => `-s ${ip}/${bits} -p ${of} -m ${of} --sport ${DNS_PORT} ${NOTRACK}`),
  )
  const raw = {
    table: 'raw',
    rules: new Map([
      [PREROUTING, queries],
      [OUTPUT, [...queries, ...answers]],
    ]),
    jumps: new Map([
      ['PREROUTING', `-j ${PREROUTING}`],
      ['OUTPUT', `-j ${OUTPUT}`],
    ]),
  }
  const served = rows.filter(({ isServed }) => isServed).map(({ ip }) => ip)
  return { chains: [raw], set: { name, type: 'hash:ip', members: new Set(served) } }
}

const NOTRACK = '-j CT --notrack'
const PROTOCOLS = ['udp', 'tcp']
const PREROUTING = 'FAIRLEAD-DNS-PREROUTING'
const OUTPUT = 'FAIRLEAD-DNS-OUTPUT'
const setName = (family: Family): string => `FAIRLEAD-DNS${family}`
const PLACE: Place = {
  what: 'node-local DNS',
  tables: [{ table: 'raw', names: [PREROUTING, OUTPUT] }],
  set: setName,
}
