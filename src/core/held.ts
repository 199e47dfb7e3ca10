import type { Delta, Key } from './delta.ts'

/** The rows that a target was given, as of the last delta: for targets that need more than the delta to act on it. */
export class HeldRows<Row> extends Map<Key, Row> {
  take({ from, put, drop }: Pick<Delta<Row>, 'from' | 'put' | 'drop'>): void {
    if (from === 0) this.clear()
    for (const key of drop) this.delete(key)
    for (const [key, row] of put) this.set(key, row)
  }
}
