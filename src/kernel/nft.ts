/**
 * nftables by text: one call is one transaction, committed whole or not at all.
 * `nftProcess` starts `nft -f -` for each; `nftChannel` (channel.ts) keeps one process for many.
 */
import { describe, exec, type ExecResult } from './exec.ts'

export type NftResult =
  | { readonly kind: 'committed' }
  /** nft or the kernel would not take the text; nothing was changed. nft's own messages, without their quotes of the text. */
  | { readonly kind: 'refused'; readonly errors: readonly string[] }
  /** The transaction never got that far: nft is missing, was killed, may not, is out of memory. Nothing was changed. */
  | { readonly kind: 'failed'; readonly reason: string }

export interface Nft {
  run(text: string, signal?: AbortSignal): Promise<NftResult>
  close(): void
}

/** One process a transaction. Its memory is given back at once: right for the large ones. */
export const nftProcess: Nft = {
  async run(text, signal) {
    const env = text.length > LARGE ? { ...process.env, GLIBC_TUNABLES: HUGE_PAGES } : process.env
    const result = await exec(['nft', '-f', '-'], { stdin: text, env, ...(signal && { signal }) })
    return result.kind === 'done' ? { kind: 'committed' } : refusal(result)
  },
  close() {},
}

/** For transactions that nobody's row can spoil: throws unless it was committed. */
export function assertCommitted(result: NftResult): void {
  if (result.kind === 'failed') throw new Error(result.reason)
  if (result.kind === 'refused') throw new Error(`nft: ${result.errors.join('; ')}`)
}

/** Whether there are tool and kernel for it. */
export async function hasNftables(signal?: AbortSignal): Promise<boolean> {
  return (await exec(['nft', 'list', 'tables'], signal ? { signal } : {})).kind === 'done'
}

/** Deletes a table that may not be there. Where there is no nf_tables, nothing of ours is in it. */
export async function deleteTable(nft: Nft, family: string, table: string, signal?: AbortSignal): Promise<void> {
  const result = await nft.run(deletion(family, table), signal)
  if (result.kind === 'committed') return
  const reason = result.kind === 'failed' ? result.reason : result.errors.join('; ')
  if (!isWithout(reason)) assertCommitted(result)
}

/** Adding it first makes deleting it no error when it is not there. */
export const deletion = (family: string, table: string): string =>
  `add table ${family} ${table}\ndelete table ${family} ${table}\n`

/** True of the reason of a failure that says that there is no nftables here: no tool, or no nf_tables in the kernel. */
export const isWithout = (reason: string): boolean => NO_NFTABLES.test(reason)

/** Names of all chains, maps and sets of a table, its jumps as `from to` and its rules; null when there is no such table. */
export async function listNames(family: string, table: string, signal?: AbortSignal): Promise<TableNames | null> {
  // -t leaves set elements out, so this is quick whatever the table holds.
  const items = await list(['nft', '-t', '-j'], family, table, signal)
  return items === null ? null : readNames(items)
}

/** All of a small table, elements included, as `nft -j` writes it (libnftables-json(5)); null when there is no such table. */
export function listTable(family: string, table: string, signal?: AbortSignal): Promise<readonly Listed[] | null> {
  return list(['nft', '-j'], family, table, signal)
}

/** One item of a listing: the field that is there says what it is. */
export type Listed = Readonly<Record<string, Record<string, unknown>>>

async function list(
  nft: readonly [string, ...string[]],
  family: string,
  table: string,
  signal: AbortSignal | undefined,
): Promise<readonly Listed[] | null> {
  const result = await exec([...nft, 'list', 'table', family, table], signal ? { signal } : {})
  if (result.kind === 'done') return (JSON.parse(result.stdout) as { nftables: readonly Listed[] }).nftables
  if (result.kind === 'failed' && result.stderr.includes('No such file or directory')) return null
  throw new Error(`cannot list nftables table ${family} ${table}: ${describe(result)}`)
}

export interface TableNames {
  readonly chains: ReadonlySet<string>
  readonly maps: ReadonlySet<string>
  readonly sets: ReadonlySet<string>
  readonly jumps: ReadonlySet<string>
  /** Rules in each chain that has any. */
  readonly rules: ReadonlyMap<string, number>
}

/** Understands what nft says when it exits with an error. */
export function readFailure(text: string): NftResult {
  const errors = [...text.matchAll(/^(?:[^\s:]*:\d+:\d+-\d+: )?Error: (.*)$/gm)].map((match) => match[1]!)
  if (errors.length === 0 || NOBODYS_FAULT.test(text)) return { kind: 'failed', reason: text.trim().slice(0, 1000) }
  return { kind: 'refused', errors }
}

function refusal(result: Exclude<ExecResult, { kind: 'done' }>): NftResult {
  const failed = { kind: 'failed', reason: describe(result) } as const
  if (result.kind === 'missing' || result.code === null) return failed
  const read = readFailure(result.stderr)
  return read.kind === 'refused' ? read : failed
}

function readNames(items: readonly Listed[]): TableNames {
  const names = {
    chains: new Set<string>(),
    maps: new Set<string>(),
    sets: new Set<string>(),
    jumps: new Set<string>(),
    rules: new Map<string, number>(),
  }
  for (const item of items) {
    if (item['chain']) names.chains.add(String(item['chain']['name']))
    if (item['map']) names.maps.add(String(item['map']['name']))
    if (item['set']) names.sets.add(String(item['set']['name']))
    if (item['rule']) {
      const from = String(item['rule']['chain'])
      names.rules.set(from, (names.rules.get(from) ?? 0) + 1)
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

/** nfnetlink.c refuses a single request for a subsystem that is not there as an invalid argument, a batch as not supported. */
const NO_NFTABLES = /is missing|not supported|cache initialization failed: Invalid argument/
/** Errors that no other text would have avoided. */
const NOBODYS_FAULT =
  /Operation not permitted|Permission denied|cache initialization failed|Cannot allocate memory|No buffer space/
/**
 * A large transaction makes nft touch 100 MB of fresh memory: in pages of 2 MB, taken in large steps, that is a quarter less
 * system time (where the kernel has them: sys/kernel/mm/transparent_hugepage; else nothing changes). glibc(7), Tunables.
 */
const HUGE_PAGES = 'glibc.malloc.hugetlb=1:glibc.malloc.top_pad=67108864'
const LARGE = 500_000
