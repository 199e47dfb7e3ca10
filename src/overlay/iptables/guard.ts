import { familyOf } from '../../cluster/address.ts'
import type { Family } from '../../cluster/protocol.ts'
import { CornerTarget } from '../../kernel/corner-target.ts'
import type { Content, CornerOptions, Place } from '../../kernel/iptables-corner.ts'
import type { GuardRow } from '../rows.ts'

/**
 * As the target of nftables, for kernels without: two chains of table mangle. There an ACCEPT of somebody's firewall, which
 * is in table filter behind it, comes too late to let anybody in.
 */
export class IptablesGuardTarget extends CornerTarget<GuardRow> {
  constructor(port: number, options: CornerOptions) {
    const contents = (rows: readonly GuardRow[]): ReadonlyMap<Family, Content> =>
      new Map(([4, 6] as const).map((family) => [family, content(rows, family, port)]))
    super('overlay guard', PLACE, contents, options)
  }
}

/**
 * By interface, not by route: while routes come and go it must hold. What comes in by none of them is not from a peer. What
 * peers send each other is not tracked, as by nftables.
 */
function content(rows: readonly GuardRow[], family: Family, port: number): Content {
  const name = setName(family)
  const uplinks = rows.flatMap((row) => (row.kind === 'uplink' ? [row.name] : [])).sort()
  const vteps = rows.flatMap((row) => (row.kind === 'vtep' && familyOf(row.ip) === family ? [row.ip] : []))
  const udp = `-p udp -m udp --dport ${port} `
  const mangle = {
    table: 'mangle',
    rules: new Map([
      [INPUT, [...uplinks.map((uplink) => `-i ${uplink} -m set --match-set ${name} src -j RETURN`), '-j DROP']],
      [FORWARD, [...uplinks.map((uplink) => `-i ${uplink} -j RETURN`), '-j DROP']],
    ]),
    jumps: new Map([
      ['INPUT', `${udp}-j ${INPUT}`],
      ['FORWARD', `${udp}-m set --match-set ${name} dst -j ${FORWARD}`],
    ]),
  }
  const raw = {
    table: 'raw',
    rules: new Map([
      [PREROUTING, uplinks.map((uplink) => `-i ${uplink} -m set --match-set ${name} src -j CT --notrack`)],
      [OUTPUT, [`-m set --match-set ${name} dst -j CT --notrack`]],
    ]),
    jumps: new Map([
      ['PREROUTING', `${udp}-j ${PREROUTING}`],
      ['OUTPUT', `${udp}-j ${OUTPUT}`],
    ]),
  }
  return {
    chains: [mangle, raw],
    set: { name, type: 'hash:ip', members: new Set(vteps) },
  }
}

const INPUT = 'FAIRLEAD-OVERLAY-INPUT'
const FORWARD = 'FAIRLEAD-OVERLAY-FORWARD'
const PREROUTING = 'FAIRLEAD-OVERLAY-PREROUTING'
const OUTPUT = 'FAIRLEAD-OVERLAY-OUTPUT'
const setName = (family: Family): string => `FAIRLEAD-VTEPS${family}`
const PLACE: Place = {
  what: 'the guard of the overlay',
  tables: [
    { table: 'mangle', names: [INPUT, FORWARD] },
    { table: 'raw', names: [PREROUTING, OUTPUT] },
  ],
  set: setName,
}
