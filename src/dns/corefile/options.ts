import type { Token } from './lexer.ts'
import { quote, type Problems } from './problem.ts'
import type { Statement } from './statement.ts'

/**
 * The lines of a directive's block, each given to the function of its name. What is not in `known` is a problem, with the
 * nearest that is.
 */
export function options(
  directive: Statement,
  known: Readonly<Record<string, (line: Statement) => void>>,
  problems: Problems,
): void {
  for (const line of directive.body ?? []) {
    const name = line.name.text
    const take = Object.hasOwn(known, name) ? known[name] : undefined
    if (take === undefined) {
      problems.unknown(line.name, `option of ${directive.name.text}`, Object.keys(known))
    } else if (line.body !== null) {
      problems.report(line.name, `${name} takes no block`, 'remove the block')
    } else take(line)
  }
}

/** The arguments of a line when there are as many as there should be. */
export function args(line: Statement, min: number, max: number, problems: Problems): readonly Token[] | null {
  const count = line.args.length
  if (count >= min && count <= max) return line.args
  const name = quote(line.name.text)
  const wanted =
    max === 0
      ? 'takes nothing after it'
      : max === Infinity
        ? `takes at least ${min} word${min === 1 ? '' : 's'} after it`
        : `takes ${min === max ? min : `${min} to ${max}`} word${max === 1 ? '' : 's'} after it`
  const at = count > max ? line.args[max]! : line.name
  return problems.report(
    at,
    `${name} ${wanted}, and has ${count}`,
    count > max ? 'remove the rest' : 'add what is missing',
  )
}

/** A directive, or an option, that has no block. */
export function plain(directive: Statement, problems: Problems): void {
  if (directive.body === null) return
  problems.report(directive.name, `${quote(directive.name.text)} takes no block`, 'remove the block')
}

/** An option that stands alone: `force_tcp`. */
export const flag =
  (set: () => void, problems: Problems) =>
  (line: Statement): void => {
    if (args(line, 0, 0, problems) !== null) set()
  }

/** Only the first of several directives counts; each further one is a problem. */
export function once(directives: readonly Statement[], problems: Problems): Statement {
  for (const { name } of directives.slice(1))
    problems.report(name, `${quote(name.text)} is in this server block already`, 'remove one of them')
  return directives[0]!
}
