/** Servers that bind nothing of their own, on the addresses of node-local DNS: what `-localip` of NodeLocal DNSCache is, for any Corefile. */
import type { Server } from './configuration.ts'

/** `addresses`: canonical; none: as the Corefile says. Pure. */
export function bindLocal(servers: readonly Server[], addresses: readonly string[]): readonly Server[] {
  if (addresses.length === 0) return servers
  return servers.map((server) => {
    const listen = server.listen.flatMap((at) =>
      ANY.has(at.address) ? addresses.map((address) => ({ ...at, address })) : [at],
    )
    // One that is named for both families is there twice.
    const once = new Map(listen.map((at) => [`${at.transport} ${at.address} ${at.port}`, at]))
    return { ...server, listen: [...once.values()] }
  })
}

const ANY = new Set(['0.0.0.0', '::'])
