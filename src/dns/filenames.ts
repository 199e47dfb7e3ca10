/** Names out of files: what `hosts` and `file` of a Corefile answer, read again as each of them says. */
import type { Rejection } from '../cluster/rejection.ts'
import { InputTable } from '../core/table.ts'
import type { Access } from './corefile/access.ts'
import type { Configuration, Source } from './corefile/configuration.ts'
import { Problems, type Problem } from './corefile/problem.ts'
import type { FileRow } from './corefile/record.ts'
import { rowsOf } from './corefile/sources.ts'
import { nameKey } from './rows.ts'

export class FileNames {
  /** For the carrier's table `names`. */
  readonly rows = new InputTable<FileRow>('names of files')
  /** What of the files as they are now cannot be used. */
  readonly rejections = new InputTable<Rejection>('problems of files')
  readonly #access: Access
  readonly #sets = new Map<string, readonly FileRow[]>()
  #timers: NodeJS.Timeout[] = []

  constructor(access: Access) {
    this.#access = access
    this.rejections.markSynced()
  }

  /** Follows the sources of a Corefile that is now in force. */
  follow({ sources, names }: Pick<Configuration, 'sources' | 'names'>): void {
    this.close()
    this.#sets.clear()
    for (const { set } of sources) this.#sets.set(set, [])
    for (const [set, rows] of Map.groupBy(names, (row) => row.set)) this.#sets.set(set, rows)
    this.#publish()
    this.rows.markSynced()
    this.#timers = sources
      .filter(({ reloadMs }) => reloadMs > 0)
      .map((source) => setInterval(() => this.look(source), source.reloadMs).unref())
  }

  /** Reads one again. What is wrong as a whole leaves the set as it was. */
  look(source: Source): void {
    const [problems, warnings] = [new Problems(), new Problems()]
    const rows = rowsOf(source, this.#access, problems, warnings)
    this.#complain(source, problems.any ? problems.list() : warnings.list())
    if (problems.any || JSON.stringify(rows) === JSON.stringify(this.#sets.get(source.set))) return
    this.#sets.set(source.set, rows)
    this.#publish()
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer)
    this.#timers = []
  }

  #publish(): void {
    this.rows.replace([...this.#sets.values()].flat().map((row) => [nameKey(row.set, row.name), row]))
  }

  #complain({ set }: Source, problems: readonly Problem[]): void {
    const kept = [...this.rejections.entries()].filter(([key]) => !key.startsWith(`${set} `))
    const now = problems.map((each, i): [string, Rejection] => [`${set} ${i}`, rejectionOf(each)])
    this.rejections.replace([...kept, ...now])
  }
}

const rejectionOf = (it: Problem): Rejection => ({
  object: it.file,
  field: `${it.line}:${it.column}`,
  problem: it.problem,
  remedy: it.remedy,
})
