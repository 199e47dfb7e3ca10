import { parseAddress } from '../../../cluster/address.ts'
import type { Access } from '../access.ts'
import type { Reload } from '../configuration.ts'
import type { Token } from '../lexer.ts'
import { args, once, options, plain } from '../options.ts'
import { quote, type Problems } from '../problem.ts'
import type { Statement } from '../statement.ts'
import { duration, unique } from '../value.ts'

/** Directives that are no steps: where a server listens (`bind`), where its files are (`root`), when all of it is read again. */

/** Addresses; of a device all but its IPv6 link-local ones, which nobody can ask without naming a device. */
export function bind(directives: readonly Statement[], access: Access, problems: Problems): readonly string[] {
  const of = (words: readonly Token[]): readonly string[] =>
    words.flatMap((word) => addressesOf(word, access, problems))
  return unique(
    directives.flatMap((directive) => {
      const wanted = of(args(directive, 1, Infinity, problems) ?? [])
      let except: readonly string[] = []
      options(directive, { except: (line) => (except = of(args(line, 1, Infinity, problems) ?? [])) }, problems)
      const left = wanted.filter((address) => !except.includes(address))
      if (wanted.length > 0 && left.length === 0)
        problems.report(directive.name, 'bind leaves no address', 'name fewer of them in except')
      return left
    }),
  )
}

/** The name of a device first, as CoreDNS has it. */
function addressesOf(word: Token, access: Access, problems: Problems): readonly string[] {
  const devices = access.interfaces()
  const device = devices.find(({ name }) => name === word.text)
  if (device !== undefined) {
    const usable = device.addresses.filter((address) => !LINK_LOCAL.test(address))
    if (usable.length === 0) problems.report(word, `${quote(word.text)} has no address to listen on`, 'give it one')
    return usable
  }
  const address = parseAddress(word.text)
  if (address !== null && !LINK_LOCAL.test(address)) return [address]
  if (address !== null || /^fe[89ab].*%/i.test(word.text)) {
    problems.report(word, 'IPv6 link-local addresses are not listened on', 'use one of fd00::/8, or an IPv4 address')
    return []
  }
  const names = devices.map(({ name }) => name)
  problems.unknown(word, 'address, and no device here', names)
  return []
}

export function root(directives: readonly Statement[], problems: Problems): string {
  const directive = once(directives, problems)
  plain(directive, problems)
  return args(directive, 1, 1, problems)?.[0]?.text ?? ''
}

/** `reload [INTERVAL] [JITTER]` */
export function reload(directives: readonly Statement[], problems: Problems): Reload | null {
  const directive = once(directives, problems)
  plain(directive, problems)
  const [every, spread] = args(directive, 0, 2, problems) ?? []
  const intervalMs = every ? duration(every, 'the interval', 2000, DAY_MS, problems) : 30_000
  const jitterMs = spread ? duration(spread, 'the jitter', 0, DAY_MS, problems) : 15_000
  if (intervalMs === null || jitterMs === null) return null
  if (jitterMs > 0 && jitterMs < 1000)
    return problems.report(spread!, 'the jitter is less than a second', 'write 0 or at least 1s')
  return { intervalMs, jitterMs: Math.min(jitterMs, intervalMs / 2) }
}

const LINK_LOCAL = /^fe[89ab][0-9a-f]:/
const DAY_MS = 86_400_000
