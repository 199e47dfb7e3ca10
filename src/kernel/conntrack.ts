import { carrier } from './carrier.ts'
import { describe, exec } from './exec.ts'

export interface FlowCheck {
  readonly ip: string
  readonly protocol: string
  readonly port: number
  readonly endpoints: readonly string[]
}

export type Cleaned =
  | { readonly kind: 'cleaned'; readonly scanned: number; readonly deleted: number }
  | { readonly kind: 'failed'; readonly reason: string }

/** Deletes the conntrack entries of the given frontends that lead to none of their endpoints. One listing, whatever their number. */
export async function deleteStaleFlows(frontends: readonly FlowCheck[], signal?: AbortSignal): Promise<Cleaned> {
  const stdin = frontends.map((frontend) => JSON.stringify(frontend) + '\n')
  const result = await exec([carrier, 'conntrack', 'stale'], { stdin, ...(signal && { signal }) })
  if (result.kind !== 'done') return { kind: 'failed', reason: describe(result) }
  return { kind: 'cleaned', ...(JSON.parse(result.stdout) as { scanned: number; deleted: number }) }
}
