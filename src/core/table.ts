import type { Key } from './delta.ts'

/** Rows by key, and a number that grows with each committed change. What derivations, targets and status read. */
export interface Readable<Row> {
  readonly name: string
  readonly size: number
  /** Number of the last commit; 0 before the first. */
  readonly number: number
  /** True once the rows are a whole truth: every input has finished its first list. Never becomes false again. */
  readonly synced: boolean
  get(key: Key): Row | undefined
  has(key: Key): boolean
  entries(): IterableIterator<[Key, Row]>
  /** Keys of the rows that carry `value` in the named index, in no particular order. */
  keysBy(index: string, value: string): Iterable<Key>
}
