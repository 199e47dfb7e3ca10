import type { FrontendAddress } from '../rows.ts'
import { listMap } from './listing.ts'
import { mapName } from './names.ts'

/**
 * Adds the UDP frontends in our table, of both generations: what an agent before us served, or was about to serve. This is how
 * an agent knows which conntrack entries are of Services that were deleted while it was down: an address and port that are
 * in here were ours, those of anybody else's rules never are. A range would not do (there are Services of other proxies in
 * it, and node ports and load balancer addresses outside), and a mark or label in conntrack is not ours alone.
 */
export async function addUdpFrontends(
  found: Map<string, FrontendAddress>,
  maps: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  const add = (_: string, key: string): void => {
    const match = UDP_KEY.exec(key)
    if (match) found.set(key, { ip: match[1]!, protocol: 'udp', port: Number(match[2]) })
  }
  for (const generation of ['a', 'b'] as const)
    for (const family of [4, 6] as const) {
      const map = mapName('frontends', family, generation)
      if (maps.has(map)) await listMap(map, { add }, signal)
    }
}

/** Address, protocol number and port, as `elements` writes them. */
const UDP_KEY = /^([0-9a-f.:]+) \. 17 \. (\d+)$/
