/** Short names that people can read out: no vowels, so that no words appear (k8s.io/apimachinery/pkg/util/rand). */

/** Deterministic: the same seed gives the same names, so two runs of a lab look alike. */
export class Suffixes {
  #state: number

  constructor(seed = 1) {
    this.#state = seed >>> 0
  }

  next(length = 5): string {
    let text = ''
    for (let i = 0; i < length; i++) text += ALPHABET[this.#random() % ALPHABET.length]
    return text
  }

  // mulberry32
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return (t ^ (t >>> 14)) >>> 0
  }
}

/** 32-bit FNV-1a. */
export function fnv32(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0
  return hash
}

/** A name part from any JSON value, whatever the order of its fields: pod-template-hash, revisions. */
export function hashOf(value: unknown, collisions = 0): string {
  const digits = String(fnv32(`${canonical(value)}#${collisions}`))
  return [...digits].map((digit) => ALPHABET[Number(digit)]).join('')
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined)
  entries.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(',')}}`
}

const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'
