/** What `fairlead agent` is told about the overlay. */
import { Option, type Command } from 'commander'
import { parseAddress, parseCidr } from '../cluster/address.ts'
import { parseMac } from '../overlay/mac.ts'
import { DEFAULT_OPTIONS, type OutsideNetwork, type OverlayOptions } from '../overlay/options.ts'
import { Failure } from './failure.ts'

export interface OverlayWords {
  readonly overlay: 'none' | 'vxlan'
  readonly overlayVni: number
  readonly overlayPort: number
  readonly overlayMtu?: number
  readonly overlayDevice: readonly string[]
  readonly overlayDirectRouting?: boolean
  readonly overlayNetworks?: readonly OutsideNetwork[]
  readonly clusterCidrs?: readonly string[]
  readonly serviceCidrs?: readonly string[]
  readonly subnetEnv: string
}

export function addOverlayOptions(command: Command): Command {
  const { vni, port, devices } = DEFAULT_OPTIONS
  return command
    .addOption(
      new Option('--overlay <kind>', 'how pods of nodes reach each other').choices(['none', 'vxlan']).default('none'),
    )
    .option('--overlay-vni <n>', 'VXLAN network identifier', number('--overlay-vni', 1, 2 ** 24 - 1), vni)
    .option('--overlay-port <n>', 'UDP port of VXLAN', number('--overlay-port', 1, 65535), port)
    .option(
      '--overlay-mtu <octets>',
      'of a packet in the overlay; default: 50 (over IPv6: 70) less than the interface of the node takes',
      number('--overlay-mtu', 576, 65535),
    )
    .option('--overlay-device <names>', 'names of the VXLAN devices over IPv4 and over IPv6', deviceNames, [
      devices[4],
      devices[6],
    ])
    .option('--overlay-direct-routing', 'route to nodes on the same link, wrap nothing there')
    .option(
      '--overlay-networks <list>',
      'networks outside of the cluster, each RANGE=MAC@ADDRESS: 10.9.0.0/16=0a:00:00:00:00:01@192.0.2.1',
      (text) => text.split(',').map(parseNetwork),
    )
    .option(
      '--cluster-cidrs <cidrs>',
      'pod ranges of the whole cluster, for subnet.env; default: what holds all podCIDRs',
      (text) => text.split(',').map(parseRange),
    )
    .option('--subnet-env <path>', 'flannel\'s file for its CNI plugin; "": none', '/run/flannel/subnet.env')
}

export function overlayOptions(node: string, words: OverlayWords): OverlayOptions {
  const [four, six] = words.overlayDevice as readonly [string, string]
  return {
    node,
    vni: words.overlayVni,
    port: words.overlayPort,
    devices: { 4: four, 6: six },
    mtu: words.overlayMtu ?? null,
    directRouting: words.overlayDirectRouting === true,
    networks: words.overlayNetworks ?? [],
    serviceCIDRs: words.serviceCidrs ?? [],
    clusterCIDRs: words.clusterCidrs ?? [],
  }
}

const number =
  (name: string, min: number, max: number) =>
  (text: string): number => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    throw new Failure(`${name}: ${text} is no whole number from ${min} to ${max}`, 2)
  }

function deviceNames(text: string): readonly [string, string] {
  const [four = '', six = `${four.slice(0, NAME_MAX - 3)}-v6`, ...more] = text.split(',').map((name) => name.trim())
  for (const name of [four, six]) {
    if (!NAME.test(name) || more.length > 0)
      throw new Failure(`--overlay-device: ${text} is not one or two names of interfaces`, 2)
  }
  if (four === six) throw new Failure(`--overlay-device: ${text} names one device twice`, 2)
  return [four, six]
}

function parseNetwork(text: string): OutsideNetwork {
  const [range = '', rest = ''] = text.trim().split('=')
  const [macText, addressText] = rest.split('@')
  const [cidr, mac, address] = [parseCidr(range)?.cidr ?? null, parseMac(macText), parseAddress(addressText)]
  if (cidr === null || mac === null || address === null)
    throw new Failure(`--overlay-networks: ${text} is not like 10.9.0.0/16=0a:00:00:00:00:01@192.0.2.1`, 2)
  return { cidr, mac, address }
}

function parseRange(text: string): string {
  const range = parseCidr(text)
  if (range === null) throw new Failure(`${text} is no range such as 10.244.0.0/16 or fd00:10:244::/56`, 2)
  return range.cidr
}

const NAME_MAX = 15
const NAME = /^[^\s/:,]{1,15}$/
