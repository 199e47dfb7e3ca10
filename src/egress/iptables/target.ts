import type { Family } from '../../cluster/protocol.ts'
import type { Delta, Drift, Refused, Target } from '../../core/delta.ts'
import { HeldRows } from '../../core/held.ts'
import { PLACES, restore, type Variant } from '../../kernel/iptables.ts'
import type { AcceptRow } from '../rows.ts'
import { CHAIN, forwardText, parseForward, readForward, type Forward } from './chains.ts'
import { hasLegacy, hasNft } from './firewalls.ts'

/** Bits of the packet mark, as 0x4000. */
export interface Marks {
  /** A Service's, to be masqueraded: forwarded to wherever its endpoint is. */
  readonly masquerade: string
  /** To be dropped or refused by rules behind ours. */
  readonly drop: string
}

/** One chain of ours on top of FORWARD, in each variant and family of iptables where that drops; nothing anywhere else. */
export class AcceptTarget implements Target<AcceptRow> {
  readonly name = 'forward'
  readonly #marks: Marks
  readonly #rows = new HeldRows<AcceptRow>()

  constructor(marks: Marks) {
    this.#marks = marks
  }

  async apply(delta: Delta<AcceptRow>, signal: AbortSignal): Promise<readonly Refused[]> {
    this.#rows.take(delta)
    const refused: Refused[] = []
    for (const [variant, family] of PLACES) {
      const why = await this.#place(variant, family, this.#wanted(variant, family), signal)
      if (why === null) continue
      const keys = [...this.#rows].filter(([, row]) => row.variant === variant && row.family === family)
      refused.push(...keys.map(([key]) => ({ key, reason: why, remedy: REMEDY })))
    }
    return refused
  }

  async audit(signal: AbortSignal): Promise<Drift> {
    for (const [variant, family] of PLACES) {
      const wanted = this.#wanted(variant, family)
      const found = await read(variant, family, wanted === null, signal)
      if (found !== null && !isAs(found, wanted))
        return { clean: false, detail: `${CHAIN} of ${variant} iptables, IPv${family}` }
    }
    return { clean: true }
  }

  async cleanup(): Promise<void> {
    for (const [variant, family] of PLACES) {
      const why = await this.#place(variant, family, null).catch((error: Error) => {
        if (/is missing/.test(error.message)) return null // without the tool nothing of ours came there
        throw error
      })
      if (why !== null) throw new Error(why)
    }
  }

  /** Returns why it is refused; null: it is so. */
  async #place(
    variant: Variant,
    family: Family,
    rules: readonly string[] | null,
    signal?: AbortSignal,
  ): Promise<string | null> {
    const found = await read(variant, family, rules === null && signal !== undefined, signal)
    if (found === null || isAs(found, rules)) return null
    const result = await restore(variant, family, forwardText(found, rules), signal)
    if (result.kind === 'failed') throw new Error(result.reason)
    return result.kind === 'refused' ? result.reason : null
  }

  /** null: nothing is to be there. */
  #wanted(variant: Variant, family: Family): readonly string[] | null {
    const cidrs = [...this.#rows.values()].filter((row) => row.variant === variant && row.family === family)
    if (cidrs.length === 0) return null
    const { masquerade, drop } = this.#marks
    return [
      `-m mark --mark ${drop}/${drop} -j RETURN`,
      `-m mark --mark ${masquerade}/${masquerade} -j ACCEPT`,
      // As kube-proxy's KUBE-FORWARD: answers, and later packets of what was let through as it began.
      '-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      ...cidrs
        .map(({ cidr }) => cidr)
        .sort()
        .flatMap((cidr) => [`-s ${cidr} -j ACCEPT`, `-d ${cidr} -j ACCEPT`]),
    ]
  }
}

/** null: there is no such table; or, `leniently`, none that can be read: then nothing of ours came there. */
async function read(
  variant: Variant,
  family: Family,
  leniently: boolean,
  signal?: AbortSignal,
): Promise<Forward | null> {
  const there = variant === 'legacy' ? await hasLegacy(family) : await hasNft(family, signal)
  if (!there) return null
  try {
    return parseForward(await readForward(variant, family, signal))
  } catch (error) {
    if (leniently && signal?.aborted !== true) return null
    throw error
  }
}

function isAs(found: Forward, rules: readonly string[] | null): boolean {
  if (rules === null || found.rules === null) return rules === found.rules && found.jumps === 0
  return found.isReached && found.jumps === 1 && found.rules.join('\n') === rules.join('\n')
}

const REMEDY = 'accept packets from and to the pods of this node in chain FORWARD'
