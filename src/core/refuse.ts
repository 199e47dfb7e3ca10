import type { Delta, Key } from './delta.ts'

export interface Search {
  /** Keys that were refused each alone, and why. */
  readonly guilty: ReadonlyMap<Key, string>
  /** Keys that were in refused sets when the tries ran out: not applied, guilt unknown. Empty unless very many are guilty. */
  readonly undecided: readonly Key[]
}

/**
 * For targets whose tool does not name the line it dislikes: applies what can be applied and finds the keys that cannot.
 * `attempt` makes one set of keys take effect as a whole and says null, or changes nothing and says why. What it throws is
 * passed on. About 2 k log2(n/k) attempts for k guilty of n; largest sets first, so that `triesMax` leaves out the fewest.
 */
export async function bisect(
  keys: readonly Key[],
  attempt: (subset: readonly Key[]) => Promise<string | null>,
  triesMax = TRIES_MAX,
): Promise<Search> {
  const guilty = new Map<Key, string>()
  let tries = 0
  let refused: (readonly Key[])[] = keys.length === 0 ? [] : [keys]
  for (let first = true; refused.length > 0; first = false) {
    const next: (readonly Key[])[] = []
    for (const set of first ? refused : refused.flatMap(halves)) {
      const reason = tries++ < triesMax ? await attempt(set) : UNTRIED
      if (reason === null) continue
      if (set.length === 1 && reason !== UNTRIED) guilty.set(set[0]!, reason)
      else next.push(set)
    }
    if (tries >= triesMax) return { guilty, undecided: next.flat() }
    refused = next
  }
  return { guilty, undecided: [] }
}

/** The delta that is left when some keys are refused: what the receiver held under them it lets go. */
export function without<Row>(delta: Delta<Row>, refused: { has(key: Key): boolean }): Delta<Row> {
  const put = new Map<Key, Row>()
  const drop = new Set(delta.drop)
  for (const [key, row] of delta.put) {
    if (!refused.has(key)) put.set(key, row)
    else if (delta.was.has(key)) drop.add(key)
  }
  return { from: delta.from, to: delta.to, put, drop, was: delta.was }
}

function halves(set: readonly Key[]): (readonly Key[])[] {
  const middle = set.length >> 1
  return [set.slice(0, middle), set.slice(middle)]
}

const UNTRIED = ''
const TRIES_MAX = 1_000
