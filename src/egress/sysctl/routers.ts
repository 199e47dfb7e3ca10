/**
 * Interfaces that have a default route from a router's advertisement (RFC 4861), out of /proc/net/ipv6_route: destination,
 * its length, source, its length, next hop, metric, references, uses, flags, interface; numbers in hexadecimal.
 */
export function routersOf(routes: string): ReadonlySet<string> {
  const found = new Set<string>()
  for (const line of routes.split('\n')) {
    if (!line.startsWith(DEFAULT)) continue
    const words = line.split(/\s+/)
    const [flags, name] = [Number.parseInt(words[8] ?? '0', 16), words[9]]
    if (name !== undefined && (flags & ADVERTISED) === ADVERTISED) found.add(name)
  }
  return found
}

/**
 * Interfaces that a default route leads out of, out of /proc/net/route: interface, destination, next hop, flags, references,
 * uses, metric, mask; numbers in hexadecimal.
 */
export function uplinksOf(routes: string): ReadonlySet<string> {
  const found = new Set<string>()
  for (const line of routes.split('\n')) {
    const [name = '', to, , flags = '0', , , , mask] = line.split('\t')
    const isUsed = (Number.parseInt(flags, 16) & (UP | REJECT)) === UP
    if (isUsed && to === '00000000' && mask === '00000000') found.add(name.trim())
  }
  return found
}

const DEFAULT = `${'0'.repeat(32)} 00 `
/** RTF_GATEWAY and RTF_ADDRCONF (linux/route.h, linux/ipv6_route.h). */
const ADVERTISED = 0x0004_0002
/** RTF_UP and RTF_REJECT (linux/route.h). */
const [UP, REJECT] = [0x0001, 0x0200]
