/** What is done next for one certificate: decided from what is wanted, what is stored, and what the server said last. Pure. */
import { heldUntil } from './budget.ts'
import type { Challenge, OrderView } from './directory.ts'
import { problemOf, type Problem } from './problem.ts'
import type { Account, Record } from './record.ts'
import { clampAskMs, renewAt, type Leaf, type RenewalInfo } from './renewal.ts'
import type { Wanted } from './wanted.ts'

export interface Known {
  readonly wanted: Wanted
  readonly account: Account | null
  readonly record: Record
  readonly certificate: Certificate
  /** What was found out since this process leads; lost with it, and found out again. */
  readonly seen: Seen
  /** Records of the same account. */
  readonly others: Iterable<Record>
  readonly now: number
}

/** What the Secret holds that is wanted. */
export type Certificate =
  | { readonly kind: 'none' }
  /** Somebody else's Secret. */
  | { readonly kind: 'foreign'; readonly why: string }
  /** `isFit`: of the issuer and key type that are wanted. */
  | { readonly kind: 'leaf'; readonly leaf: Leaf; readonly isFit: boolean }

export interface Seen {
  readonly order: OrderView | null
  /** When the order is looked at again. */
  readonly lookAt: number
  /** URLs of challenges whose answers are in place, and of those that the server was told of. */
  readonly presented: ReadonlySet<string>
  readonly asked: ReadonlySet<string>
  readonly info: RenewalInfo | null
  /** When the server is asked for renewalInfo again: also when it had none. */
  readonly infoAt: number
}

export type Step =
  | { readonly do: 'register' }
  /** A key and the intent are written down. */
  | { readonly do: 'begin'; readonly replaces: string | null }
  | { readonly do: 'order' }
  | { readonly do: 'look' }
  | { readonly do: 'present' | 'ask'; readonly challenges: readonly Challenge[] }
  | { readonly do: 'finalize' }
  /** The certificate is fetched and written into its Secret, then the order is closed. */
  | { readonly do: 'store' }
  /** The order leads nowhere: it is forgotten, and counted if it is a failure. */
  | { readonly do: 'abandon'; readonly problem: Problem | null }
  | { readonly do: 'askRenewal'; readonly certId: string }
  | { readonly do: 'refuse'; readonly problem: string; readonly remedy: string }
  | { readonly do: 'wait'; readonly until: number; readonly why: string }

/** Why it waits, when all is well. */
export const RENEWAL = 'renewal'

export const nothingSeen: Seen = {
  ...{ order: null, lookAt: 0, presented: new Set(), asked: new Set() },
  ...{ info: null, infoAt: 0 },
}

export function next(known: Known): Step {
  const { wanted, record, certificate } = known
  if (certificate.kind === 'foreign')
    return {
      ...{ do: 'refuse', problem: `the Secret ${wanted.secret} ${certificate.why}` },
      remedy: 'delete it, or let spec.tls name another one',
    }
  return record.order === null ? before(known) : within(known)
}

/** No order is under way. */
function before({ wanted, account, record, certificate, seen, others, now }: Known): Step {
  const leaf = certificate.kind === 'leaf' ? certificate.leaf : null
  const isGood = certificate.kind === 'leaf' && certificate.isFit && covers(certificate.leaf, wanted)
  if (leaf !== null && isGood && now < leaf.notAfter) {
    if (leaf.certId !== null && now >= seen.infoAt) return { do: 'askRenewal', certId: leaf.certId }
    const at = renewAt(leaf, seen.info, wanted.renewBeforeMs)
    if (now < at) return { do: 'wait', until: Math.min(at, leaf.certId === null ? at : seen.infoAt), why: RENEWAL }
  }
  const held = heldUntil(record, others, now)
  if (held !== null) return { do: 'wait', ...held }
  if (account === null || account.url === null) return { do: 'register' }
  // Of the same names only: what replaces something else is refused by the server.
  return { do: 'begin', replaces: leaf !== null && isGood ? leaf.certId : null }
}

function within({ wanted, account, record, seen, now }: Known): Step {
  const order = record.order!
  const isWanted = order.directory === wanted.issuer.directory && same(order.names, wanted.names)
  if (!isWanted) return { do: 'abandon', problem: null }
  if (account === null || account.url === null) return { do: 'register' }
  if (order.url === null) return { do: 'order' }
  const view = seen.order
  if (view === null) return now >= seen.lookAt ? { do: 'look' } : { do: 'wait', until: seen.lookAt, why: 'the server' }
  switch (view.status) {
    case 'ready':
      return { do: 'finalize' }
    case 'valid':
      return { do: 'store' }
    case 'invalid':
      return { do: 'abandon', problem: view.problem ?? problemOf({}, 400, null) }
    case 'processing':
      return look(seen, now)
    case 'pending':
      return view.expires !== null && view.expires <= now
        ? { do: 'abandon', problem: null }
        : prove(view, wanted, seen, now)
    default:
      return view.status satisfies never
  }
}

function prove(view: OrderView, wanted: Wanted, { presented, asked, lookAt }: Seen, now: number): Step {
  const [unprovable] = view.unprovable
  if (unprovable !== undefined) {
    const detail = `the server offers ${unprovable.offered.join(', ')} for ${unprovable.name}, not ${wanted.issuer.challenge}`
    return { do: 'abandon', problem: problemOf({ type: 'unauthorized', detail }, 400, null) }
  }
  const hidden = view.challenges.filter(({ url }) => !presented.has(url))
  if (hidden.length > 0) return { do: 'present', challenges: view.challenges }
  const unasked = view.challenges.filter(({ url, isPending }) => isPending && !asked.has(url))
  if (unasked.length > 0) return { do: 'ask', challenges: unasked }
  return look({ lookAt }, now)
}

const look = ({ lookAt }: Pick<Seen, 'lookAt'>, now: number): Step =>
  now >= lookAt ? { do: 'look' } : { do: 'wait', until: lookAt, why: 'the server' }

/** When an order is looked at again: what the server says, within bounds. */
export const lookAgainAt = (now: number, retryAfterMs: number | null): number =>
  now + Math.min(Math.max(retryAfterMs ?? LOOK_MS, LOOK_MIN_MS), LOOK_MAX_MS)

export const askRenewalAgainAt = (now: number, info: RenewalInfo | null): number =>
  info?.askAt ?? now + clampAskMs(null)

/** As many names as are wanted, or more; one that lost a name serves on until it is renewed. */
function covers(leaf: Leaf, wanted: Wanted): boolean {
  const names = new Set(leaf.names)
  return wanted.names.every((name) => names.has(name))
}

const same = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((x, i) => x === b[i])

const LOOK_MS = 2_000
const LOOK_MIN_MS = 500
const LOOK_MAX_MS = 60_000
