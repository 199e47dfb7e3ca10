import { parseCidr, spanOf, type Span } from '../cluster/address.ts'

/** The fewest ranges that hold the same addresses, IPv4 first, in numeric order. `cidrs`: canonical, in any order, may overlap. */
export function aggregate(cidrs: Iterable<string>): readonly string[] {
  const spans = [...cidrs].map(spanOf).sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))
  const joined: Block[] = []
  for (const span of spans) {
    const block = blockOf(span)
    const last = joined.at(-1)
    if (last === undefined || last.family !== block.family || block.first > last.last + 1n) joined.push(block)
    else if (block.last > last.last) last.last = block.last
  }
  return joined.flatMap((block) => [...split(block)])
}

/** Consecutive addresses. */
interface Block {
  readonly family: 4 | 6
  readonly first: bigint
  last: bigint
}

/** A span's texts are its family and its number in hexadecimal. */
const blockOf = ({ first, last }: Span): Block => ({
  family: first.startsWith('4') ? 4 : 6,
  first: BigInt(`0x${first.slice(1)}`),
  last: BigInt(`0x${last.slice(1)}`),
})

/** Each time the largest range that begins at the first address and ends at or before the last. */
function* split({ family, first, last }: Block): Iterable<string> {
  const all = family === 4 ? 32 : 128
  for (let at = first; at <= last;) {
    let host = 0
    while (host < all && at % (1n << BigInt(host + 1)) === 0n && at + (1n << BigInt(host + 1)) - 1n <= last) host++
    yield parseCidr(`${textOf(family, at)}/${all - host}`)!.cidr
    at += 1n << BigInt(host)
  }
}

function textOf(family: 4 | 6, address: bigint): string {
  const hex = address.toString(16).padStart(family === 4 ? 8 : 32, '0')
  if (family === 6) return hex.replace(/(.{4})(?!$)/g, '$1:')
  return hex.replace(/(..)/g, (byte) => `${Number.parseInt(byte, 16)}.`).slice(0, -1)
}
