/** A number that stands for the rules of a chain in their order: their count and 32 bits of hash. 0: no rules. */
export type Digest = number

export function digest(rules: readonly string[]): Digest {
  let sum = 0
  for (const rule of rules) sum = extend(sum, rule)
  return sum
}

/** The digest of a chain with one rule more. FNV-1a over all its text. */
export function extend(sum: Digest, rule: string): Digest {
  const count = countOf(sum)
  let hash = count === 0 ? 0x811c9dc5 : (sum % HASHES) | 0
  for (let i = 0; i < rule.length; i++) hash = Math.imul(hash ^ rule.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ 10, 0x01000193)
  return (count + 1) * HASHES + (hash >>> 0)
}

export const countOf = (sum: Digest): number => Math.floor(sum / HASHES)

const HASHES = 2 ** 32
