/** What tells a small table from another: its elements, its chains and the words of its rules. */
import { listTable } from './nft.ts'

export interface Outline {
  readonly elements: ReadonlySet<string>
  /** Each with its hook, and the rules in it, reduced to what tells them apart. */
  readonly chains: readonly string[]
}

export interface OutlineOptions<Element> {
  /** null: it does not count. */
  readonly elementOf: (set: string, element: Element) => string | null
  /** What is left of a rule, as `nft -j` writes it (libnftables-json(5)). Global. */
  readonly telling: RegExp
}

/** Of a table of family inet; null: there is no such table. */
export async function outlineTable<Element>(
  table: string,
  { elementOf, telling }: OutlineOptions<Element>,
  signal: AbortSignal,
): Promise<Outline | null> {
  const items = (await listTable('inet', table, signal)) as readonly Item<Element>[] | null
  if (items === null) return null
  const elements = new Set<string>()
  const chains: string[] = []
  for (const { set, chain, rule } of items) {
    for (const element of set?.elem ?? []) {
      const key = elementOf(set!.name, element)
      if (key !== null) elements.add(key)
    }
    if (chain) chains.push(`${chain.name} ${chain.hook} ${chain.prio}`)
    if (rule) chains.push(tellingWords(JSON.stringify(rule.expr), telling))
  }
  return { elements, chains }
}

export const tellingWords = (rule: string, telling: RegExp): string => (rule.match(telling) ?? []).join(' ')

interface Item<Element> {
  readonly set?: { readonly name: string; readonly elem?: readonly Element[] }
  readonly chain?: { readonly name: string; readonly hook?: string; readonly prio?: number }
  readonly rule?: { readonly expr: unknown }
}
