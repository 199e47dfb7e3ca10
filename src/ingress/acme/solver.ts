/** Writes TXT records that prove names (dns-01). */
import type { DnsRecord } from './answers.ts'

export interface Solver {
  /** Resolves once the server has them. Those that are there already stay as they are. */
  present(records: readonly DnsRecord[], signal: AbortSignal): Promise<void>
  /** Those only: others of the same name stay. */
  remove(records: readonly DnsRecord[], signal: AbortSignal): Promise<void>
}
