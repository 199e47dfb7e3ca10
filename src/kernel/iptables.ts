/**
 * iptables by text: one restore is atomic for each table in it. Two programs with one language write to two different
 * places in the kernel, `legacy` (ip_tables) and `nft` (nf_tables); rules of both are met, so ours belong where the host's are.
 */
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { describe, exec, start } from './exec.ts'

/** All chains and ipsets of ours begin so; nothing else is touched but the jumps to them. */
export const PREFIX = 'FAIRLEAD-'

export type Family = 4 | 6
export type Variant = 'legacy' | 'nft'
export const VARIANTS: readonly Variant[] = ['legacy', 'nft']
/** Each variant with each family. */
export const PLACES = VARIANTS.flatMap((variant) => ([4, 6] as const).map((family) => [variant, family] as const))

export type RestoreResult =
  | { readonly kind: 'committed' }
  /** The tool or the kernel would not take some line; the table it is in was not changed. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** It never got that far: the tool is missing, was killed, may not, waits for the lock. */
  | { readonly kind: 'failed'; readonly reason: string }

/** `--noflush`: chains that the text does not name stay as they are. `--wait`: others who write at the moment are waited for. */
export async function restore(
  variant: Variant,
  family: Family,
  text: string | Iterable<string>,
  signal?: AbortSignal,
): Promise<RestoreResult> {
  const command = [tool(variant, family, 'restore'), '--noflush', `--wait=${LOCK_WAIT_SECONDS}`] as const
  const result = await exec(command, { stdin: text, ...(signal && { signal }) })
  if (result.kind === 'done') return { kind: 'committed' }
  const reason = result.kind === 'missing' ? missing(result.tool) : describe(result)
  const ours = result.kind === 'failed' && result.code !== null && !NOBODYS_FAULT.test(result.stderr)
  return ours ? { kind: 'refused', reason: firstLines(result.stderr) } : { kind: 'failed', reason }
}

/**
 * Reads all tables that exist, or one, line by line: `*table`, `:CHAIN policy [0:0]`, `-A CHAIN ...`. Makes no table. null:
 * read to the end, be it of nothing; else why not.
 */
export async function save(
  variant: Variant,
  family: Family,
  onLine: (line: string) => void,
  signal?: AbortSignal,
  table?: string,
): Promise<{ readonly kind: 'missing' | 'failed'; readonly reason: string } | null> {
  const name = tool(variant, family, 'save')
  // Asking legacy for a table by name makes it.
  if (table !== undefined && variant === 'legacy' && !(await hasLegacyTable(family, table))) return null
  const child = start([name, ...(table === undefined ? [] : ['-t', table])], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(signal && { signal }),
  })
  let errors = ''
  child.stderr?.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(0, 1000)))
  const ended = new Promise<Awaited<ReturnType<typeof save>>>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ENOENT'
        ? resolve({ kind: 'missing', reason: missing(name) })
        : resolve({ kind: 'failed', reason: `${name}: ${error.message}` }),
    )
    child.once('close', (code) =>
      resolve(code === 0 ? null : { kind: 'failed', reason: `${name}: exit code ${code}: ${errors.trim()}` }),
    )
  })
  if (child.stdout) for await (const line of createInterface({ input: child.stdout })) onLine(line)
  return ended
}

/** True where legacy iptables has this table in our network namespace. Looking makes no table. */
export async function hasLegacyTable(family: Family, table: string): Promise<boolean> {
  const file = family === 4 ? '/proc/net/ip_tables_names' : '/proc/net/ip6_tables_names'
  const names = await readFile(file, 'utf8').catch(() => '')
  return names.split('\n').includes(table)
}

export type Found =
  { readonly kind: 'found'; readonly variant: Variant } | { readonly kind: 'none'; readonly reason: string }

/**
 * The variant this host uses, as kubernetes-sigs/iptables-wrappers finds it: where kubelet left its hint, else where more
 * rules are (chains with `ownPrefix` apart), else nft. One that is not installed, or that this kernel does not have, is
 * never chosen.
 */
export async function findVariant(ownPrefix: string, signal?: AbortSignal): Promise<Found> {
  const [legacy, nft] = await Promise.all(VARIANTS.map((variant) => look(variant, ownPrefix, signal)))
  if (legacy!.failure !== null && nft!.failure !== null)
    return { kind: 'none', reason: `${nft!.failure}; ${legacy!.failure}` }
  const choose = (): Variant => {
    if (legacy!.failure !== null) return 'nft'
    if (nft!.failure !== null) return 'legacy'
    if (nft!.hinted !== legacy!.hinted) return nft!.hinted ? 'nft' : 'legacy'
    return legacy!.rules > nft!.rules ? 'legacy' : 'nft'
  }
  return { kind: 'found', variant: choose() }
}

async function look(
  variant: Variant,
  ownPrefix: string,
  signal?: AbortSignal,
): Promise<{ failure: string | null; hinted: boolean; rules: number }> {
  let [hinted, rules] = [false, 0]
  for (const family of [4, 6] as const) {
    const failed = await save(
      variant,
      family,
      (line) => {
        if (HINT.test(line)) hinted = true
        else if (line.startsWith('-') && !line.includes(ownPrefix)) rules++
      },
      signal,
    )
    if (failed !== null && family === 4) return { failure: failed.reason, hinted, rules }
  }
  return { failure: null, hinted, rules }
}

function tool(variant: Variant, family: Family, what: 'restore' | 'save'): string {
  return `${family === 4 ? 'iptables' : 'ip6tables'}-${variant}-${what}`
}

export const missing = (name: string): string => `${name} is missing: install it with: apt-get install iptables`

const firstLines = (text: string): string =>
  text
    .split('\n')
    .filter((line) => line.trim() !== '' && !NOISE.test(line))
    .slice(0, 2)
    .join('; ')
    .slice(0, 500)

/** Chains that kubelet keeps in table mangle for this purpose. */
const HINT = /^:KUBE-(IPTABLES-HINT|KUBELET-CANARY) /
const NOISE = /^(# Warning|Try `)/
/** Errors that no other text would have avoided. */
const NOBODYS_FAULT =
  /Permission denied|Operation not permitted|xtables lock|Resource temporarily unavailable|Cannot allocate memory|Device or resource busy|can't initialize|not be loaded|Message too long|No buffer space/i
const LOCK_WAIT_SECONDS = 30
