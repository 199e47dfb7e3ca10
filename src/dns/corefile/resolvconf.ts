import { remedyOf } from './access.ts'
import type { Token } from './lexer.ts'
import { parseName } from './name.ts'
import { pathOf, type Setting } from './setting.ts'

/** What resolv.conf(5) says, as far as it concerns a server. Lines that cannot be used are passed over, as resolvers do. */
export interface ResolvConf {
  /** As they stand there: addresses, link-local ones with their zone. */
  readonly servers: readonly string[]
  /** Absolute. */
  readonly search: readonly string[]
}

/** The file that a word names; null when it cannot be read, which is said. */
export function resolvConf(token: Token, setting: Setting): ResolvConf | null {
  const path = pathOf(token, setting)
  const content = setting.access.read(path)
  if (!('text' in content)) return setting.problems.report(token, ...remedyOf(content, path))
  const servers: string[] = []
  let search: readonly string[] = []
  for (const line of content.text.split('\n')) {
    const [key, ...values] = line
      .replace(/[#;].*$/s, '')
      .trim()
      .split(/\s+/)
    if (key === 'nameserver' && values[0] !== undefined) servers.push(values[0])
    if (key === 'search' || key === 'domain')
      search = values.map((value) => parseName(value)).filter((name) => name !== null)
  }
  return { servers, search }
}
