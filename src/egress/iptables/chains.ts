/** Table filter of one variant and family of iptables: what it does to packets that are forwarded, and what of it is ours. */
import { describe, exec } from '../../kernel/exec.ts'
import type { Variant } from '../../kernel/iptables.ts'
import type { Family } from '../../cluster/protocol.ts'

export interface Forward {
  /** What no rule accepts is dropped or rejected. */
  readonly blocks: boolean
  /** Jumps to our chain. */
  readonly jumps: number
  /** The first of them is before any rule that ends all. */
  readonly isReached: boolean
  /** Of our chain; null: there is none. */
  readonly rules: readonly string[] | null
}

/** `text`: as `iptables -S` prints it. */
export function parseForward(text: string): Forward {
  const lines = text.split('\n')
  const rulesOf = (chain: string): string[] =>
    lines.filter((line) => line.startsWith(`-A ${chain} `)).map((line) => line.slice(chain.length + 4))
  const forward = rulesOf('FORWARD')
  const end = forward.findIndex((rule) => ENDS_ALL.test(rule))
  const jump = forward.indexOf(`-j ${CHAIN}`)
  return {
    blocks: lines.includes('-P FORWARD DROP') || end >= 0,
    jumps: forward.filter((rule) => rule === `-j ${CHAIN}`).length,
    isReached: jump >= 0 && (end < 0 || jump < end),
    rules: lines.includes(`-N ${CHAIN}`) ? rulesOf(CHAIN) : null,
  }
}

/** What `iptables -S` says. The table must be there: asking for it would make it. Throws when it cannot be read. */
export async function readForward(variant: Variant, family: Family, signal?: AbortSignal): Promise<string> {
  const tool = `${family === 4 ? 'iptables' : 'ip6tables'}-${variant}`
  const result = await exec([tool, '--wait', '5', '-S'], signal ? { signal } : {})
  if (result.kind === 'done') return result.stdout
  if (result.kind === 'missing') throw new Error(`${tool} is missing: install it with: apt-get install iptables`)
  throw new Error(`${tool}: ${describe(result)}`)
}

/** Text for iptables-restore that makes our chain be so, on top of FORWARD. `rules` null: that takes it away. */
export function forwardText(found: Forward, rules: readonly string[] | null): string {
  const remove = Array.from({ length: found.jumps }, () => `-D FORWARD -j ${CHAIN}`)
  const lines =
    rules === null
      ? [...remove, `-X ${CHAIN}`]
      : [...rules.map((rule) => `-A ${CHAIN} ${rule}`), ...remove, `-I FORWARD -j ${CHAIN}`]
  return ['*filter', `:${CHAIN} - [0:0]`, ...lines, 'COMMIT\n'].join('\n')
}

export const CHAIN = 'FAIRLEAD-FORWARD'
const ENDS_ALL = /^-j (DROP|REJECT)( --reject-with \S+)?$/
