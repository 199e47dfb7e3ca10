/** Opens what writes TXT records, by what the issuer's settings name. */
import type { Solver } from './solver.ts'
import type { Dns, SecretKey } from './wanted.ts'
import { updateSolver } from './dnsupdate.ts'
import { webhookSolver } from './webhook.ts'

export async function openSolver(dns: Dns, read: (key: SecretKey) => Promise<string>): Promise<Solver> {
  switch (dns.kind) {
    case 'update':
      return updateSolver(dns, Buffer.from(await read(dns.tsig), 'base64'))
    case 'webhook':
      return webhookSolver(dns.url, dns.bearer === null ? null : await read(dns.bearer))
    default:
      return dns satisfies never
  }
}
