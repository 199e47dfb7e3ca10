/**
 * Regular expressions that the carrier can compile: those of RE2 and the regex crate, which take time linear in what they
 * read. What only PCRE has (look-around, back-references, possessive and atomic groups) is refused with what it is.
 */
export type Pattern = { readonly pattern: string } | { readonly problem: string }

export function checkPattern(pattern: string): Pattern {
  if (pattern.length > PATTERN_MAX) return { problem: `has ${pattern.length} characters, more than ${PATTERN_MAX}` }
  const foreign = foreignTo(pattern)
  if (foreign !== null) return { problem: `uses ${foreign}, which no engine of linear time has` }
  try {
    // Inline flags are the one thing that JavaScript spells in another way.
    RegExp(pattern.replace(/\(\?[imsxU]+\)/g, '').replace(/\(\?P</g, '(?<'), 'u')
    return { pattern }
  } catch (error) {
    return lenient(pattern, error as Error)
  }
}

/** How many groups it has: what `$1`, `$2` may name. */
export function groupsOf(pattern: string): number {
  let groups = 0
  walk(pattern, (at) => {
    if (pattern[at] === '(' && (pattern[at + 1] !== '?' || /^\(\?P?<[^=!]/.test(pattern.slice(at)))) groups++
  })
  return groups
}

/** The `u` flag is stricter than RE2: `\-`, `\/`, a lone `]` or `}` are no mistakes. */
function lenient(pattern: string, strict: Error): Pattern {
  try {
    RegExp(pattern)
    return { pattern }
  } catch {
    return { problem: `does not compile: ${strict.message.replace(/^.*: /, '').slice(0, 80)}` }
  }
}

function foreignTo(pattern: string): string | null {
  let found: string | null = null
  walk(pattern, (at) => {
    const rest = pattern.slice(at, at + 4)
    if (/^\(\?(=|!|<=|<!)/.test(rest)) found ??= `look-around (${rest.slice(0, rest[2] === '<' ? 4 : 3)})`
    else if (rest.startsWith('(?>')) found ??= 'an atomic group ((?>)'
    else if (/^[*+?}]\+/.test(rest)) found ??= `a possessive quantifier (${rest.slice(0, 2)})`
  })
  const reference = /(?:^|[^\\])(?:\\\\)*(\\[1-9])/.exec(pattern)
  return found ?? (reference === null ? null : `a back-reference (${reference[1]})`)
}

/** Every character that is neither escaped nor in a class. */
function walk(pattern: string, visit: (at: number) => void): void {
  let inClass = false
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at]
    if (character === '\\') at++
    else if (inClass) inClass = character !== ']'
    else if (character === '[') {
      inClass = true
      if (pattern[at + 1] === '^') at++
      if (pattern[at + 1] === ']') at++
    } else visit(at)
  }
}

const PATTERN_MAX = 10_000
