import { dirname, isAbsolute, join } from 'node:path/posix'
import { remedyOf, type Access } from './access.ts'
import { tokens, type Token } from './lexer.ts'
import { quote, type Problems } from './problem.ts'
import { items, statements, type Statement } from './statement.ts'

/** A server block, with everything that it imports in place. */
export interface Block {
  readonly keys: readonly Token[]
  readonly body: readonly Statement[]
}

/**
 * The blocks of a Corefile and of what it imports. `import X` is the snippet `(X) { }` where there is one, from anywhere, else
 * the files of a path or glob (at most one `*` and one `?`) that is relative to the file that says so; a glob may find none.
 */
export function blocks(text: string, path: string, access: Access, problems: Problems): readonly Block[] {
  const imports = new Imports(access, problems)
  imports.open(tokens(text, path, access.env, problems), [path])
  return imports.blocks()
}

class Imports {
  readonly #access: Access
  readonly #problems: Problems
  readonly #snippets = new Map<string, readonly Statement[]>()
  readonly #servers: { readonly keys: readonly Token[]; readonly body: readonly Statement[] }[] = []
  /** Files that are imported inside of blocks are read once. */
  readonly #read = new Map<string, readonly Token[] | null>()
  #count = 0
  #full = false

  constructor(access: Access, problems: Problems) {
    this.#access = access
    this.#problems = problems
  }

  /** Of files outside of blocks. `from`: the files that led here. */
  open(found: readonly Token[], from: readonly string[]): void {
    for (const item of items(found, this.#problems)) {
      if (item.kind === 'server') this.#servers.push(item)
      else if (item.kind === 'snippet') {
        if (this.#snippets.has(item.name)) {
          this.#problems.report(
            item.at,
            `snippet ${quote(item.name)} is there already`,
            'give one of them another name',
          )
        } else this.#snippets.set(item.name, item.body)
      } else {
        const what = this.#argument(item.statement)
        if (what !== null) this.#outside(what, from)
      }
    }
  }

  blocks(): readonly Block[] {
    return this.#servers.map(({ keys, body }) => ({ keys, body: this.#expand(body, []) }))
  }

  #outside(what: Token, from: readonly string[]): void {
    if (this.#snippets.has(what.text)) {
      const remedy = 'import it inside of a server block'
      this.#problems.report(what, `snippet ${quote(what.text)} holds directives, no server blocks`, remedy)
      return
    }
    for (const file of this.#files(what)) {
      if (!this.#mayEnter(what, file, from)) continue
      const found = this.#tokens(file, what)
      if (found !== null) this.open(found, [...from, file])
    }
  }

  /** `from`: the snippets and files that led here. */
  #expand(body: readonly Statement[], from: readonly string[]): readonly Statement[] {
    const expanded: Statement[] = []
    for (const statement of body) {
      if (this.#full) break
      if (++this.#count > STATEMENTS_MAX) {
        this.#full = true
        const problem = `with all imports there are more than ${STATEMENTS_MAX} lines`
        this.#problems.report(statement.name, problem, 'import less, and nothing twice')
      } else if (statement.name.text === 'import') expanded.push(...this.#imported(statement, from))
      else if (statement.body === null) expanded.push(statement)
      else expanded.push({ ...statement, body: this.#expand(statement.body, from) })
    }
    return expanded
  }

  #imported(statement: Statement, from: readonly string[]): readonly Statement[] {
    const what = this.#argument(statement)
    if (what === null) return []
    const snippet = this.#snippets.get(what.text)
    if (snippet !== undefined) {
      const name = `(${what.text})`
      return this.#mayEnter(what, name, from) ? this.#expand(snippet, [...from, name]) : []
    }
    return this.#files(what).flatMap((file) => {
      if (!this.#mayEnter(what, file, from)) return []
      const found = this.#tokens(file, what)
      return found === null ? [] : this.#expand(statements(found, this.#problems), [...from, file])
    })
  }

  #mayEnter(at: Token, name: string, from: readonly string[]): boolean {
    if (from.includes(name)) {
      this.#problems.report(at, `${quote(name)} imports itself`, 'take one import out of the circle')
      return false
    }
    if (from.length < DEPTH_MAX) return true
    this.#problems.report(at, `imports are more than ${DEPTH_MAX} deep here`, 'import fewer files by way of others')
    return false
  }

  #argument({ name, args, body }: Statement): Token | null {
    const [what] = args
    if (what === undefined || what.text === '' || args.length > 1 || body !== null) {
      const remedy = 'write import NAME, where NAME is a snippet, a file, or files: conf.d/*.conf'
      return this.#problems.report(name, 'import takes one name', remedy)
    }
    return what
  }

  #tokens(file: string, at: Token): readonly Token[] | null {
    const known = this.#read.get(file)
    if (known !== undefined) return known
    const content = this.#access.read(file)
    let found: readonly Token[] | null = null
    if ('text' in content) found = tokens(content.text, file, this.#access.env, this.#problems)
    else this.#problems.report(at, ...remedyOf(content, file))
    this.#read.set(file, found)
    return found
  }

  /** In the order of their paths. */
  #files(what: Token): readonly string[] {
    const path = isAbsolute(what.text) ? what.text : join(dirname(what.file), what.text)
    const wild = (mark: string): number => path.split(mark).length - 1
    if (wild('*') > 1 || wild('?') > 1 || /\[.*\]/s.test(path)) {
      const remedy = 'write at most one * and one ?, and no [ ]'
      this.#problems.report(what, `${quote(what.text)} has too many wild cards`, remedy)
      return []
    }
    if (!/[*?]/.test(path)) return [path]
    const files = path
      .split('/')
      .reduce<readonly string[]>((found, part) => this.#descend(found, part), [''])
      .slice(0, FILES_MAX + 1)
    if (files.length > FILES_MAX) this.#problems.report(what, `finds more than ${FILES_MAX} files`, 'import fewer')
    return files.slice(0, FILES_MAX)
  }

  #descend(folders: readonly string[], part: string): readonly string[] {
    const below = (folder: string, name: string): string => (folder === '' && name === '' ? '' : `${folder}/${name}`)
    if (!/[*?]/.test(part)) return part === '' ? folders : folders.map((folder) => below(folder, part))
    const pattern = new RegExp(`^${part.replace(SPECIAL, '\\$&').replace('*', '.*').replace('?', '.')}$`, 'su')
    return folders.flatMap((folder) =>
      [...this.#access.list(folder === '' ? '/' : folder)]
        .filter((name) => pattern.test(name))
        .sort()
        .map((name) => below(folder, name)),
    )
  }
}

const DEPTH_MAX = 30
const FILES_MAX = 1000
const STATEMENTS_MAX = 100_000
const SPECIAL = /[\\^$.+()|{}[\]-]/g
