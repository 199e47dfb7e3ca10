/**
 * nftables by text: one call is one transaction, committed whole or not at all.
 * `nftProcess` starts `nft -f -` for each; `nftChannel` (channel.ts) keeps one process for many.
 */
import { describe, exec, type ExecResult } from './exec.ts'

export type NftResult =
  | { readonly kind: 'committed' }
  /** nft or the kernel would not take some lines; nothing was changed. */
  | { readonly kind: 'refused'; readonly errors: readonly NftError[] }
  /** The transaction never got that far: nft is missing, was killed, may not. Nothing was changed. */
  | { readonly kind: 'failed'; readonly reason: string }

export interface NftError {
  /** Line of the text, from 1. */
  readonly line: number
  readonly message: string
}

export interface Nft {
  run(text: string, signal?: AbortSignal): Promise<NftResult>
  close(): void
}

/** One process a transaction. Its memory is given back at once: right for the large ones. */
export const nftProcess: Nft = {
  async run(text, signal) {
    const result = await exec(['nft', '-f', '-'], { stdin: text, ...(signal && { signal }) })
    return result.kind === 'done' ? { kind: 'committed' } : refusal(result)
  },
  close() {},
}

/** Names of all chains, maps and sets of a table, and its jumps as `from to`; null when there is no such table. */
export async function listNames(family: string, table: string, signal?: AbortSignal): Promise<TableNames | null> {
  // -t leaves set elements out, so this is quick whatever the table holds.
  const result = await exec(['nft', '-t', '-j', 'list', 'table', family, table], signal ? { signal } : {})
  if (result.kind === 'done') return readNames(result.stdout)
  if (result.kind === 'failed' && result.stderr.includes('No such file or directory')) return null
  throw new Error(`cannot list nftables table ${family} ${table}: ${describe(result)}`)
}

export interface TableNames {
  readonly chains: ReadonlySet<string>
  readonly maps: ReadonlySet<string>
  readonly sets: ReadonlySet<string>
  readonly jumps: ReadonlySet<string>
}

/** Reads `/dev/stdin:3:19-19: Error: message` lines; unknown text becomes one error without a line (0). */
export function readErrors(text: string): readonly NftError[] {
  const errors: NftError[] = []
  for (const match of text.matchAll(/^[^\s:]*:(\d+):\d+-\d+: Error: (.*)$/gm))
    errors.push({ line: Number(match[1]), message: match[2]! })
  return errors
}

function refusal(result: Exclude<ExecResult, { kind: 'done' }>): NftResult {
  if (result.kind === 'failed') {
    const errors = readErrors(result.stderr)
    if (errors.length > 0) return { kind: 'refused', errors }
  }
  return { kind: 'failed', reason: describe(result) }
}

function readNames(json: string): TableNames {
  const names = {
    chains: new Set<string>(),
    maps: new Set<string>(),
    sets: new Set<string>(),
    jumps: new Set<string>(),
  }
  const listing = JSON.parse(json) as { nftables: Record<string, Record<string, unknown>>[] }
  for (const item of listing.nftables) {
    if (item['chain']) names.chains.add(String(item['chain']['name']))
    if (item['map']) names.maps.add(String(item['map']['name']))
    if (item['set']) names.sets.add(String(item['set']['name']))
    if (item['rule']) {
      const from = String(item['rule']['chain'])
      for (const to of jumpTargets(item['rule']['expr'])) names.jumps.add(`${from} ${to}`)
    }
  }
  return names
}

function* jumpTargets(expressions: unknown): Iterable<string> {
  if (!Array.isArray(expressions)) return
  for (const expression of expressions as { jump?: { target?: unknown } }[])
    if (typeof expression.jump?.target === 'string') yield expression.jump.target
}
