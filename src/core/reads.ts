import { Ints, NOBODY } from './ints.ts'

/** Cells of one kind by name: the keys of a table, or the values of one of its indexes, that somebody read. */
export type Home = Map<string, number>

/**
 * Who read what. A cell is something that can be read (a key of a table, present or not; a value of an index); a reader is
 * a number. One edge for each pair, in lists that run through both ends, so that a reader's edges are replaced, and a
 * cell's readers found, without a Set for either: 20 bytes an edge, about 80 a cell.
 */
export class Reads {
  readonly #cellOf = new Ints()
  readonly #readerOf = new Ints()
  readonly #nextOfCell = new Ints()
  readonly #previousOfCell = new Ints()
  readonly #nextOfReader = new Ints()
  readonly #firstOfCell = new Ints()
  readonly #firstOfReader = new Ints()
  readonly #homes: (Home | null)[] = []
  readonly #names: string[] = []
  readonly #freeCells: number[] = []
  /** Free edges, a list through #nextOfReader. */
  #freeEdge = NOBODY
  #edgesMade = 0
  #edges = 0
  /** Cells read since the last commit, each once: `#marked` says which. */
  readonly #seen: number[] = []
  readonly #marked = new Ints()

  get edges(): number {
    return this.#edges
  }
  get cells(): number {
    return this.#names.length - this.#freeCells.length
  }

  /** Notes that the running reader read this. */
  record(home: Home, name: string): void {
    const cell = home.get(name) ?? this.#open(home, name)
    if (this.#marked.get(cell) === 1) return
    this.#marked.set(cell, 1)
    this.#seen.push(cell)
  }

  /** What was recorded replaces all that `reader` read before. */
  commit(reader: number): void {
    for (const cell of this.#seen) this.#marked.set(cell, 0)
    if (!this.#unchanged(reader)) this.#replace(reader)
    this.#seen.length = 0
  }

  /** Calls `visit` for each reader of a cell. Takes no changes meanwhile. */
  visit(home: Home, name: string, visit: (reader: number) => void): void {
    const cell = home.get(name)
    if (cell === undefined) return
    for (let edge = this.#firstOfCell.get(cell); edge !== NOBODY; edge = this.#nextOfCell.get(edge))
      visit(this.#readerOf.get(edge))
  }

  /** Most runs read what the last one read, in the same order: then there is nothing to do. */
  #unchanged(reader: number): boolean {
    let edge = this.#firstOfReader.get(reader)
    for (const cell of this.#seen) {
      if (edge === NOBODY || this.#cellOf.get(edge) !== cell) return false
      edge = this.#nextOfReader.get(edge)
    }
    return edge === NOBODY
  }

  #replace(reader: number): void {
    const old = this.#firstOfReader.get(reader)
    let first = NOBODY
    for (let i = this.#seen.length - 1; i >= 0; i--) first = this.#link(this.#seen[i]!, reader, first)
    this.#firstOfReader.set(reader, first)
    // After linking: a cell that is read again is not closed in between.
    for (let edge = old; edge !== NOBODY;) {
      const next = this.#nextOfReader.get(edge)
      this.#unlink(edge)
      edge = next
    }
  }

  #link(cell: number, reader: number, nextOfReader: number): number {
    const edge = this.#freeEdge === NOBODY ? this.#edgesMade++ : this.#freeEdge
    if (edge === this.#freeEdge) this.#freeEdge = this.#nextOfReader.get(edge)
    const first = this.#firstOfCell.get(cell)
    this.#cellOf.set(edge, cell)
    this.#readerOf.set(edge, reader)
    this.#nextOfReader.set(edge, nextOfReader)
    this.#previousOfCell.set(edge, NOBODY)
    this.#nextOfCell.set(edge, first)
    if (first !== NOBODY) this.#previousOfCell.set(first, edge)
    this.#firstOfCell.set(cell, edge)
    this.#edges++
    return edge
  }

  #unlink(edge: number): void {
    const cell = this.#cellOf.get(edge)
    const previous = this.#previousOfCell.get(edge)
    const next = this.#nextOfCell.get(edge)
    if (previous === NOBODY) this.#firstOfCell.set(cell, next)
    else this.#nextOfCell.set(previous, next)
    if (next !== NOBODY) this.#previousOfCell.set(next, previous)
    this.#nextOfReader.set(edge, this.#freeEdge)
    this.#freeEdge = edge
    this.#edges--
    if (previous === NOBODY && next === NOBODY) this.#close(cell)
  }

  #open(home: Home, name: string): number {
    const cell = this.#freeCells.pop() ?? this.#names.length
    this.#homes[cell] = home
    this.#names[cell] = name
    this.#firstOfCell.set(cell, NOBODY)
    home.set(name, cell)
    return cell
  }

  #close(cell: number): void {
    this.#homes[cell]!.delete(this.#names[cell]!)
    this.#homes[cell] = null
    this.#names[cell] = ''
    this.#freeCells.push(cell)
  }
}
