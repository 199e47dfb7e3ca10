/**
 * What a bridge was set to before us, written on the bridge itself (its alias, which ip-link(8) shows): it lasts as long as
 * what it speaks of, whichever agent comes next.
 */

/** Names of settings and options, as rows have them -> the value that is to be put back. */
export type Note = ReadonlyMap<string, string>

/** null: the alias is somebody else's. */
export function readNote(alias: string): Note | null {
  if (alias === '') return new Map()
  if (!alias.startsWith(MARK)) return null
  const pairs = alias.slice(MARK.length).split(',')
  return new Map(pairs.flatMap((pair) => (PAIR.test(pair) ? [pair.split('=') as [name: string, value: string]] : [])))
}

/** Without blanks. '': there is nothing to put back. */
export function writeNote(note: Note): string {
  if (note.size === 0) return ''
  const pairs = [...note].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => `${name}=${value}`)
  return MARK + pairs.join(',')
}

const MARK = 'fairlead,before:'
/** Only what we write: a name becomes a path. */
const PAIR = /^(net\.ipv[46]\.(conf|neigh)\.\*\.[a-z_]+|nf_call_[a-z0-9]+)=\d{1,10}$/
