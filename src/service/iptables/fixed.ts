/** The chains that there are whatever the Services, and the jumps to them. */
import type { Family } from '../../cluster/protocol.ts'
import { CHAINS, MARKS } from './names.ts'
import { from, MARK } from './words.ts'

export type Table = 'nat' | 'filter'

/** Built-in chain, and the rule in it that leads to ours. The first there: nobody else is to translate what is ours. */
export const JUMPS: Readonly<Record<Table, readonly (readonly [chain: string, rule: string])[]>> = {
  nat: [
    ['PREROUTING', `-j ${CHAINS.services}`],
    ['OUTPUT', `-j ${CHAINS.services}`],
    ['POSTROUTING', `-j ${CHAINS.postrouting}`],
  ],
  // One look at the mark is what packets of established connections pay.
  filter: ['INPUT', 'FORWARD', 'OUTPUT'].map(
    (chain) => [chain, `-m mark --mark ${MARKS.drop}/${MARKS.drop} -j ${CHAINS.filter}`] as const,
  ),
}

/** Of table nat, but for those of the next two functions and what Services need. */
export function fixedChains(): ReadonlyMap<string, readonly string[]> {
  const mark = (value: string): readonly string[] => [`-j MARK --set-xmark ${value}/${MARKS.mask}`, '-j ACCEPT']
  return new Map([
    [CHAINS.refuse, mark(MARKS.refuse)],
    [CHAINS.drop, mark(MARKS.drop)],
    [
      CHAINS.postrouting,
      [
        `-m mark --mark ${MARKS.masquerade}/${MARKS.mask} -g ${CHAINS.masquerade}`,
        `-m conntrack --ctstate DNAT -g ${CHAINS.hairpins}`,
      ],
    ],
    // Whoever routes by mark after us, IPsec for one, is not to see ours.
    [CHAINS.masquerade, [`-j MARK --set-xmark ${MARKS.masquerade}/0x0`, '-j MASQUERADE --random-fully']],
  ])
}

export const servicesRules = (ranges: readonly string[]): readonly string[] => [
  `-j ${CHAINS.frontends}`,
  ...ranges.map((cidr) => `${to(cidr)}-g ${CHAINS.drop}`),
]

/** Without a pod range nobody can tell a pod from an outsider: then only external traffic is masqueraded, as by kube-proxy. */
export const outsideRules = (pods: readonly string[]): readonly string[] =>
  pods.length === 0 ? [] : [...pods.map((cidr) => `${from(cidr)}-j RETURN`), MARK]

/** Of table filter. */
export const filterRules = (family: Family): readonly string[] => [
  `-m mark --mark ${MARKS.drop}/${MARKS.mask} -j DROP`,
  `-p tcp -m mark --mark ${MARKS.refuse}/${MARKS.mask} -j REJECT --reject-with tcp-reset`,
  `-m mark --mark ${MARKS.refuse}/${MARKS.mask} -j REJECT --reject-with ${family === 4 ? 'icmp' : 'icmp6'}-port-unreachable`,
]

const to = (cidr: string): string => from(cidr).replace('-s', '-d')
