/** Packets through rules of iptables, as far as the iptables target writes them: where may each end, and how often does it? */
import { contains, familyOf } from '../../src/cluster/address.ts'
import ipaddr from 'ipaddr.js'

export interface Walked {
  readonly src: string
  readonly dst: string
  readonly protocol: string
  readonly port: number
  /** An address of this node sends it. */
  readonly fromNode: boolean
  /** Names of the ipsets that hold the sender. */
  readonly sets?: ReadonlySet<string>
}

/** Ends by their names (`DNAT 10.0.0.1:80`, `ACCEPT`, `MASQUERADE`, `RETURN` from the first chain) and the mark there. */
export interface Ends {
  readonly shares: ReadonlyMap<string, number>
  /** Rules looked at on the longest way. */
  readonly looked: number
  /** Clients remembered on the way: `SET timeout`. */
  readonly remembered: ReadonlyMap<string, ReadonlySet<string>>
}

export function walk(chains: ReadonlyMap<string, readonly string[]>, chain: string, packet: Walked, mark = 0): Ends {
  const shares = new Map<string, number>()
  const remembered = new Map<string, Set<string>>()
  let looked = 0
  const end = (name: string, at: State): void => {
    const key = `${name} 0x${at.mark.toString(16)}`
    shares.set(key, (shares.get(key) ?? 0) + at.share)
    for (const set of at.added) remembered.set(key, (remembered.get(key) ?? new Set()).add(set))
    looked = Math.max(looked, at.looked)
  }
  /** Goes through a chain; the states in which packets fall out of its end. */
  const through = (name: string, from: State): State[] => {
    const rules = chains.get(name)
    if (rules === undefined) throw new Error(`no chain ${name}`)
    let states = [from]
    const out: State[] = []
    for (const rule of rules) {
      const next: State[] = []
      for (const state of states) {
        const { share, verb, to, option } = match(rule, packet, state)
        const looking = { ...state, looked: state.looked + 1 }
        if (share < 1) next.push({ ...looking, share: state.share * (1 - share) })
        if (share === 0) continue
        const taken = { ...looking, share: state.share * share }
        if (verb === '-g') out.push(...through(to, taken))
        else if (to === 'RETURN') out.push(taken)
        else if (to === 'MARK') next.push({ ...taken, mark: marked(state.mark, option) })
        else if (to === 'SET') next.push({ ...taken, added: [...state.added, option] })
        else if (to === 'DNAT') end(`DNAT ${option}`, taken)
        else if (to === 'ACCEPT' || to === 'MASQUERADE') end(to, taken)
        else next.push(...through(to, taken))
      }
      states = next.filter(({ share }) => share > 0)
    }
    return [...states, ...out]
  }
  for (const state of through(chain, { mark, share: 1, looked: 0, added: [] })) end('RETURN', state)
  return { shares, looked, remembered }
}

interface State {
  readonly mark: number
  readonly share: number
  readonly looked: number
  readonly added: readonly string[]
}

interface Matched {
  readonly share: number
  readonly verb: string
  readonly to: string
  readonly option: string
}

function match(rule: string, packet: Walked, { mark }: State): Matched {
  const words = rule.replace(/--comment "[^"]*"/, '--comment x').split(' ')
  let share = 1
  const need = (is: boolean): void => void (share = is ? share : 0)
  for (let i = 0; ;) {
    const word = words[i++]
    const value = words[i++]!
    switch (word) {
      case '-s':
        need(masked(value, packet.src))
        break
      case '-d':
        need(masked(value, packet.dst))
        break
      case '-p':
        need(value === packet.protocol)
        break
      case '--dport': {
        const [low, high = low] = value.split(':').map(Number)
        need(packet.port >= low! && packet.port <= high!)
        break
      }
      case '--probability':
        share *= Number(value)
        break
      case '--mark': {
        const [bits, mask] = value.split('/').map(Number)
        need((mark & mask!) === bits)
        break
      }
      case '--src-type':
        need(packet.fromNode)
        break
      case '--match-set':
        need(packet.sets?.has(value) === true)
        i++ // src
        break
      case '--ctstate': // who asks was translated
      case '-m':
      case '--mode':
      case '--comment':
        break
      case '-j':
      case '-g':
        return { share, verb: word, to: value, option: words[i + 1] ?? '' }
      default:
        throw new Error(`${rule}: what is ${word}?`)
    }
  }
}

function marked(mark: number, option: string): number {
  const [value, mask] = option.split('/').map(Number)
  return ((mark & ~mask!) ^ value!) >>> 0
}

function masked(range: string, address: string): boolean {
  const [base, mask] = range.split('/') as [string, string]
  if (/^\d+$/.test(mask)) return familyOf(base) === familyOf(address) && contains(range, address)
  const [bytes, bits, wanted] = [address, mask, base].map((each) => ipaddr.parse(each).toByteArray())
  return bytes!.every((byte, i) => (byte & bits![i]!) === wanted![i])
}
