/**
 * A tree of chains that finds the rules of an address (and port) in a few steps: iptables knows no maps. Packets are told
 * apart by four bits at a time, the lowest bits of the address first, for those differ most; then by protocol and port.
 */
import ipaddr from 'ipaddr.js'
import type { Family, Protocol } from '../../cluster/protocol.ts'
import { chainName } from './names.ts'

/** Chains that changed: their rules, null for those that are gone. */
export type Changes = Map<string, readonly string[] | null>

/** Hexadecimal digits in the order in which they are looked at. Without protocol: all of the address, for what no longer key has. */
export function digitsOf(ip: string, protocol?: Protocol, port = 0): string {
  const address = ipaddr
    .parse(ip)
    .toByteArray()
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
  const reversed = [...address].reverse().join('')
  if (protocol === undefined) return reversed
  return reversed + String(PROTOCOLS.indexOf(protocol)) + port.toString(16).padStart(4, '0')
}

export class Dispatch {
  readonly #family: Family
  readonly #root: Node
  readonly #touched = new Set<Node>()
  /** Chains that are not there any more. */
  readonly #gone = new Set<string>()

  constructor(family: Family, chain: string) {
    this.#family = family
    this.#root = new Node(chain)
    this.#touched.add(this.#root)
  }

  /** null: no such rule any more. */
  set(digits: string, rule: string | null): void {
    this.#set(this.#root, digits, rule)
  }

  /** All that was changed by `set` since the last call (at first: all). */
  take(changes: Changes): void {
    for (const name of this.#gone) changes.set(name, null)
    for (const node of this.#touched) if (node.alive) changes.set(node.chain, this.#render(node))
    this.#gone.clear()
    this.#touched.clear()
  }

  #set(node: Node, digits: string, rule: string | null): void {
    node.size += Number(rule !== null) - Number(node.has(digits))
    if (node.children === null) {
      if (rule === null) node.rules.delete(digits)
      else node.rules.set(digits, rule)
      this.#touched.add(node)
      if (node.rules.size > LEAF_MAX) this.#split(node)
      return
    }
    if (node.size <= LEAF_MAX / 2 || !digits.startsWith(node.shared)) {
      const rules = [...node.all()].filter(([key]) => key !== digits)
      if (rule !== null) rules.push([digits, rule])
      return this.#rebuild(node, rules)
    }
    const digit = digits[node.shared.length]
    if (digit === undefined) {
      if (rule === null) node.rules.delete(digits)
      else node.rules.set(digits, rule)
      this.#touched.add(node)
      return
    }
    let child = node.children.get(digit)
    if (child === undefined) {
      child = new Node(childName(node, digit))
      node.children.set(digit, child)
      this.#touched.add(node).add(child)
      this.#gone.delete(child.chain)
    }
    this.#set(child, digits, rule)
    if (child.size > 0) return
    node.children.delete(digit)
    this.#bury(child)
    this.#touched.add(node)
  }

  #rebuild(node: Node, rules: readonly [string, string][]): void {
    for (const child of node.children?.values() ?? []) this.#bury(child)
    node.children = null
    node.shared = ''
    node.rules = new Map(rules)
    node.size = rules.length
    this.#touched.add(node)
    if (rules.length > LEAF_MAX) this.#split(node)
  }

  #split(node: Node): void {
    const keys = [...node.rules.keys()]
    const shared = sharedStart(keys)
    // All is told apart that can be: more rules than that cannot be.
    if (keys.every((key) => key.length === shared.length)) return
    const rules = node.rules
    node.rules = new Map()
    node.shared = shared
    node.children = new Map()
    for (const [key, rule] of rules) {
      const digit = key[shared.length]
      if (digit === undefined) {
        node.rules.set(key, rule)
        continue
      }
      let child = node.children.get(digit)
      if (child === undefined) node.children.set(digit, (child = new Node(childName(node, digit))))
      child.rules.set(key, rule)
      child.size++
    }
    for (const child of node.children.values()) {
      this.#gone.delete(child.chain)
      this.#touched.add(child)
      if (child.size > LEAF_MAX) this.#split(child)
    }
  }

  #bury(node: Node): void {
    node.alive = false
    this.#gone.add(node.chain)
    for (const child of node.children?.values() ?? []) this.#bury(child)
  }

  #render(node: Node): readonly string[] {
    const sorted = <T>(map: ReadonlyMap<string, T>): [string, T][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
    // The longest keys first: the rule of an address is for what no rule of a port there took.
    const own = sorted(node.rules).sort(([a], [b]) => b.length - a.length)
    if (node.children === null) return own.map(([, rule]) => rule)
    // Within one address the way back leads here, to the rule of the address.
    const verb = node.shared.length >= addressDigits(this.#family) ? '-j' : '-g'
    const lead = sorted(node.children).map(
      ([digit, child]) => `${matchOf(this.#family, node.shared, digit)}${verb} ${child.chain}`,
    )
    return [...lead, ...own.map(([, rule]) => rule)]
  }
}

class Node {
  readonly chain: string
  /** Of a leaf: all. Else: the rule of the address, when the children are of its ports. */
  rules = new Map<string, string>()
  /** By the digit after `shared`; null: a leaf. */
  children: Map<string, Node> | null = null
  /** What all keys here begin with. */
  shared = ''
  size = 0
  alive = true

  constructor(chain: string) {
    this.chain = chain
  }

  has(digits: string): boolean {
    if (this.children === null || digits.length === this.shared.length) return this.rules.has(digits)
    return digits.startsWith(this.shared) && this.children.get(digits[this.shared.length]!)?.has(digits) === true
  }

  *all(): Iterable<[string, string]> {
    yield* this.rules
    for (const child of this.children?.values() ?? []) yield* child.all()
  }
}

const childName = (node: Node, digit: string): string => chainName(`${node.chain} ${node.shared.length} ${digit}`)
const addressDigits = (family: Family): number => (family === 4 ? 8 : 32)

function sharedStart(keys: readonly string[]): string {
  let shared = keys[0]!
  for (const key of keys) while (!key.startsWith(shared)) shared = shared.slice(0, -1)
  return shared
}

/** What packets have in common whose key has this digit after what is shared. */
function matchOf(family: Family, shared: string, digit: string): string {
  const place = shared.length - addressDigits(family)
  if (place < 0) return `-d ${digitAddress(family, shared.length, digit)}/${digitAddress(family, shared.length, 'f')} `
  const protocol = PROTOCOLS[Number(place === 0 ? digit : shared[addressDigits(family)])]!
  if (place === 0) return `-p ${protocol} `
  const start = shared.slice(addressDigits(family) + 1) + digit
  const [low, high] = [start.padEnd(4, '0'), start.padEnd(4, 'f')].map((hex) => parseInt(hex, 16))
  return `-p ${protocol} -m ${protocol} --dport ${low === high ? low : `${low}:${high}`} `
}

/** An address of zeros but for one hexadecimal digit, counted from the end, as the C library writes it. */
function digitAddress(family: Family, place: number, digit: string): string {
  const value = parseInt(digit, 16)
  if (family === 4) {
    const bytes = [0, 0, 0, 0]
    bytes[3 - (place >> 1)] = value << ((place & 1) * 4)
    return bytes.join('.')
  }
  const word = value << ((place & 3) * 4)
  const group = 7 - (place >> 2)
  // It takes an address of the upper 96 bits zero for an IPv4 one.
  if (group === 6 && word > 0) return `::${word >> 8}.${word & 255}.0.0`
  const groups = Array<number>(8).fill(0)
  groups[group] = word
  return ipaddr.IPv6.parse(groups.map((each) => each.toString(16)).join(':')).toRFC5952String()
}

const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp', 'sctp']
/** Rules that a packet may meet one after the other. */
const LEAF_MAX = 16
