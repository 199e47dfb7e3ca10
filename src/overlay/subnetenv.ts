/** /run/flannel/subnet.env: what flannel's CNI plugin reads (flannel: pkg/subnet/subnet.go, WriteSubnetFile). */
import { contains, parseCidr } from '../cluster/address.ts'
import type { PodNetwork } from './site.ts'

export interface SubnetEnv {
  readonly text: string
}

/** `ranges`: pod ranges of the whole cluster. The last line says that the plugin need not masquerade: its node does. */
export function subnetEnv(networks: readonly PodNetwork[], ranges: readonly string[], mtu: number): SubnetEnv {
  const lines: string[] = []
  for (const [family, prefix] of [
    [4, 'FLANNEL_'],
    [6, 'FLANNEL_IPV6_'],
  ] as const) {
    const network = networks.find((each) => each.family === family)
    if (network === undefined) continue
    const range = ranges.find((each) => contains(each, network.cidr)) ?? network.cidr
    lines.push(`${prefix}NETWORK=${range}`, `${prefix}SUBNET=${gatewayOf(network)}`)
  }
  lines.push(`FLANNEL_MTU=${mtu}`, 'FLANNEL_IPMASQ=true')
  return { text: lines.join('\n') + '\n' }
}

/** The smallest range of each family that holds all networks of it. */
export function rangesOf(networks: readonly PodNetwork[]): readonly string[] {
  return ([4, 6] as const).flatMap((family) => {
    const all = networks.filter((each) => each.family === family)
    if (all.length === 0) return []
    const first = all.reduce((least, { span }) => (span.first < least ? span.first : least), all[0]!.span.first)
    const last = all.reduce((most, { span }) => (span.last > most ? span.last : most), all[0]!.span.last)
    const [a, b] = [BigInt(`0x${first.slice(1)}`), BigInt(`0x${last.slice(1)}`)]
    const bits = (family === 4 ? 32 : 128) - (a ^ b).toString(2).replace(/^0$/, '').length
    return parseCidr(`${all[0]!.vtep}/${bits}`)!.cidr
  })
}

/** The network's first address with its prefix length: a bridge would have it. */
const gatewayOf = ({ vtep, cidr, family }: PodNetwork): string =>
  family === 4
    ? `${vtep.replace(/\d+$/, (last) => String(Number(last) + 1))}${cidr.slice(cidr.indexOf('/'))}`
    : `${vtep.endsWith('::') ? `${vtep}1` : vtep}${cidr.slice(cidr.indexOf('/'))}`
