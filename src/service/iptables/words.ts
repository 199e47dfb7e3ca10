/** Parts of rules, written as iptables-save writes them: an audit compares text with text. */
import type { Family } from '../../cluster/protocol.ts'
import { CHAINS, MARKS } from './names.ts'

export const familyOf = (address: string): Family => (address.includes(':') ? 6 : 4)
/** `-s` of a range; '' for all addresses. */
export const from = (cidr: string): string => (cidr.endsWith('/0') ? '' : `-s ${cidr} `)
export const host = (ip: string): string => `${ip}/${familyOf(ip) === 4 ? 32 : 128}`

export const MARK = `-j MARK --set-xmark ${MARKS.masquerade}/${MARKS.masquerade}`

/** Where packets go for which there is no endpoint. */
export const emptyChain = (empty: 'reject' | 'drop'): string => (empty === 'drop' ? CHAINS.drop : CHAINS.refuse)

/** A match that is true once in n times: iptables keeps 31 bits of it and prints 11 digits. */
export function once(share: number): string {
  const kept = Math.round(share * 2 ** 31) / 2 ** 31
  return `-m statistic --mode random --probability ${kept.toFixed(11)} `
}

/** Names of Kubernetes objects need no escapes. */
export const comment = (text: string): string =>
  `-m comment --comment "${text.replace(/[^\w./:-]/g, '_').slice(0, 200)}" `
