import type { Family, Protocol } from '../cluster/protocol.ts'

/**
 * 32 bits of a text and a number, 0..2^32-1: FNV-1a, then the finisher of MurmurHash3, so that what differs little differs
 * in every bit.
 */
export function hash32(text: string, number = 0): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ number, 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Number under which session affinity of a ServicePort (in one family) is remembered. 1..2^32-1, and so is its localPool. */
export function poolOf(namespace: string, name: string, port: string, protocol: Protocol, family: Family): number {
  const pool = hash32(`${namespace}/${name}:${port}:${protocol}:${family}`)
  return pool === 0 || localPool(pool) === 0 ? 1 : pool
}

/** Affinity of set `local` is remembered apart from that of set `main`: they may hold the same client to different endpoints. */
export const localPool = (pool: number): number => (pool ^ LOCAL_POOL) >>> 0

const LOCAL_POOL = 0x5bd1e995
