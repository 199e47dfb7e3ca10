/** A delta as the lines that say it. Rows are written when their line is sent, so that a large table is never text as a whole. */
import type { Delta, Key, Refused } from '../core/delta.ts'
import { without } from '../core/refuse.ts'

/** As native/wire has them. */
export const LINE_MAX_BYTES = 1024 * 1024
export const KEY_MAX_BYTES = 512

/**
 * Yields one line after the other, `commit` excepted, without newlines. Rows too large for a line are left out, given to
 * `refuse`, and what the carrier holds under their keys is dropped.
 */
export function* deltaLines<Row>(
  table: string,
  delta: Delta<Row>,
  refuse: (row: Refused) => void,
): Generator<string, void, void> {
  const { epoch, number } = delta.to
  yield JSON.stringify({ begin: { table, epoch, from: delta.from, to: number } })
  const outsize = new Set<Key>()
  const refuseOne = (key: Key, reason: string, remedy: string): void => {
    outsize.add(key)
    refuse({ key, reason, remedy })
  }
  yield* packed('put', rows(delta.put, refuseOne))
  const { drop } = outsize.size === 0 ? delta : without(delta, outsize)
  yield* packed('drop', keys(drop))
}

export const COMMIT = '{"commit":{}}'

/** Texts of JSON, as many to a line as fit well. */
function* packed(name: 'put' | 'drop', items: Iterable<string>): Generator<string, void, void> {
  let line: string[] = []
  let bytes = 0
  for (const item of items) {
    const more = Buffer.byteLength(item) + 1
    if (line.length > 0 && bytes + more > LINE_BYTES) {
      yield `{"${name}":[${line.join(',')}]}`
      line = []
      bytes = 0
    }
    line.push(item)
    bytes += more
  }
  if (line.length > 0) yield `{"${name}":[${line.join(',')}]}`
}

function* rows<Row>(
  put: ReadonlyMap<Key, Row>,
  refuse: (key: Key, reason: string, remedy: string) => void,
): Generator<string, void, void> {
  for (const [key, row] of put) {
    if (Buffer.byteLength(key) > KEY_MAX_BYTES) {
      refuse(key, `its key has ${Buffer.byteLength(key)} octets`, `a key has at most ${KEY_MAX_BYTES}`)
      continue
    }
    const text = JSON.stringify([key, row])
    const bytes = Buffer.byteLength(text)
    if (bytes <= LINE_MAX_BYTES - FRAME_BYTES) yield text
    else refuse(key, `takes ${bytes} octets as JSON`, `a row takes at most ${LINE_MAX_BYTES - FRAME_BYTES}`)
  }
}

function* keys(drop: ReadonlySet<Key>): Generator<string, void, void> {
  for (const key of drop) yield JSON.stringify(key)
}

/** Longer lines would only take more memory. */
const LINE_BYTES = 64 * 1024
const FRAME_BYTES = 64
