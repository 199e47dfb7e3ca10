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

const DEFAULT = `${'0'.repeat(32)} 00 `
/** RTF_GATEWAY and RTF_ADDRCONF (linux/route.h, linux/ipv6_route.h). */
const ADVERTISED = 0x0004_0002
