/** Endpoints of one set, as two lists of one length. */
export interface Members {
  readonly ips: readonly string[]
  readonly ports: readonly number[]
}

/**
 * The same as one string, a fifth of what lists of strings take: there are as many as a cluster has endpoints, by Service,
 * and they are looked at only when something of the Service changes. Equal sets in equal order are structurally the same.
 */
export interface Packed {
  readonly count: number
  /** A group for each port: `8080 10.0.0.1 10.0.0.2,9090 10.0.0.3`. */
  readonly text: string
  /** Instead of the text, of large sets: few are, and each change of one would have to spell it all out. */
  readonly lists: Members | null
}

/** The order within a port is kept, that among ports is the order in which they come. */
export function pack(members: Members): Packed {
  const { ips, ports } = members
  const count = ips.length
  if (count === 0) return NOBODY
  if (count > LARGE) return { count, text: '', lists: members }
  const groups = new Map<number, string[]>()
  for (let i = 0; i < count; i++) {
    const group = groups.get(ports[i]!)
    if (group === undefined) groups.set(ports[i]!, [String(ports[i]), ips[i]!])
    else group.push(ips[i]!)
  }
  return { count, text: [...groups.values()].map((group) => group.join(' ')).join(','), lists: null }
}

export function unpack({ count, text, lists }: Packed): Members {
  if (lists !== null) return lists
  const ips: string[] = []
  const ports: number[] = []
  if (count === 0) return { ips, ports }
  for (const group of text.split(',')) {
    const [first, ...members] = group.split(' ')
    const port = Number(first)
    for (const ip of members) {
      ips.push(ip)
      ports.push(port)
    }
  }
  return { ips, ports }
}

const NOBODY: Packed = { count: 0, text: '', lists: null }
const LARGE = 128
