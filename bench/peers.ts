/** How others lay services out in the kernel: texts for their own tools, of the same cluster. IPv4, ClusterIP. */
import { BACKEND_PORT, clusterIP, podIP, type Size } from './cluster.ts'

export type Peer = 'kube-proxy-nft' | 'iptables-legacy' | 'iptables-nft'

export const COMMANDS: Readonly<Record<Peer, readonly [string, ...string[]]>> = {
  'kube-proxy-nft': ['nft', '-f', '-'],
  'iptables-legacy': ['iptables-legacy-restore'],
  'iptables-nft': ['iptables-nft-restore'],
}

export function* textOf(peer: Peer, size: Size): Iterable<string> {
  yield* peer === 'kube-proxy-nft' ? kubeProxy(size) : iptables(size)
}

/** One endpoint of a service becomes another, in as few words as the layout allows. */
export function changeOf(peer: Peer, size: Size, i: number, round: number): string {
  const address = `10.120.${round >> 8}.${round & 255}`
  if (peer === 'kube-proxy-nft') {
    return [
      `add chain ip kube-proxy endpoint-${i}-new${round}`,
      ...endpointRules(`endpoint-${i}-new${round}`, address),
      `flush chain ip kube-proxy service-${i}`,
      ...serviceRules(size, i, `endpoint-${i}-new${round}`),
      '',
    ].join('\n')
  }
  const lines = ['*nat', `:KUBE-SVC-${i} - [0:0]`, `:KUBE-SEP-${i}-N${round} - [0:0]`]
  lines.push(
    ...sepRules(`KUBE-SEP-${i}-N${round}`, address),
    ...svcRules(size, i, `KUBE-SEP-${i}-N${round}`),
    'COMMIT',
    '',
  )
  return lines.join('\n')
}

/** kube-proxy's nftables mode, 1.36: map to a chain per service, anonymous map to a chain per endpoint. */
function* kubeProxy(size: Size): Iterable<string> {
  yield KUBE_PROXY_BASE
  for (let i = 0; i < size.services; i++) {
    const lines: string[] = []
    for (let j = 0; j < size.endpoints; j++) {
      lines.push(`add chain ip kube-proxy endpoint-${i}-${j}`)
      lines.push(...endpointRules(`endpoint-${i}-${j}`, podIP(i * size.endpoints + j)))
    }
    lines.push(`add chain ip kube-proxy service-${i}`, ...serviceRules(size, i))
    lines.push(`add element ip kube-proxy cluster-ips { ${clusterIP(i)} }`)
    lines.push(`add element ip kube-proxy service-ips { ${clusterIP(i)} . tcp . 80 : goto service-${i} }\n`)
    yield lines.join('\n')
  }
}

function serviceRules(size: Size, i: number, first = `endpoint-${i}-0`): string[] {
  const targets = Array.from(
    { length: size.endpoints },
    (_, j) => `${j} : goto ${j === 0 ? first : `endpoint-${i}-${j}`}`,
  )
  const chain = `add rule ip kube-proxy service-${i}`
  return [
    `${chain} ip daddr ${clusterIP(i)} tcp dport 80 ip saddr != ${PODS} jump mark-for-masquerade`,
    `${chain} numgen random mod ${size.endpoints} vmap { ${targets.join(', ')} }`,
  ]
}

const endpointRules = (chain: string, address: string): string[] => [
  `add rule ip kube-proxy ${chain} ip saddr ${address} jump mark-for-masquerade`,
  `add rule ip kube-proxy ${chain} meta l4proto tcp dnat to ${address}:${BACKEND_PORT}`,
]

/** kube-proxy's iptables mode: a list of all services, a chain per service and per endpoint. */
function* iptables(size: Size): Iterable<string> {
  yield '*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n'
  yield ':KUBE-SERVICES - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n:KUBE-POSTROUTING - [0:0]\n'
  for (let i = 0; i < size.services; i++) {
    yield `:KUBE-SVC-${i} - [0:0]\n`
    for (let j = 0; j < size.endpoints; j++) yield `:KUBE-SEP-${i}-${j} - [0:0]\n`
  }
  yield IPTABLES_BASE
  for (let i = 0; i < size.services; i++) {
    const lines = [`-A KUBE-SERVICES -d ${clusterIP(i)}/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-${i}`]
    lines.push(...svcRules(size, i))
    for (let j = 0; j < size.endpoints; j++)
      lines.push(...sepRules(`KUBE-SEP-${i}-${j}`, podIP(i * size.endpoints + j)))
    yield lines.join('\n') + '\n'
  }
  yield 'COMMIT\n'
}

function svcRules({ endpoints }: Size, i: number, first = `KUBE-SEP-${i}-0`): string[] {
  const lines = [`-A KUBE-SVC-${i} ! -s ${PODS} -d ${clusterIP(i)}/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ`]
  for (let j = 0; j < endpoints; j++) {
    const chance = (1 / (endpoints - j)).toFixed(10)
    const draw = j === endpoints - 1 ? '' : ` -m statistic --mode random --probability ${chance}`
    lines.push(`-A KUBE-SVC-${i}${draw} -j ${j === 0 ? first : `KUBE-SEP-${i}-${j}`}`)
  }
  return lines
}

const sepRules = (chain: string, address: string): string[] => [
  `-A ${chain} -s ${address}/32 -j KUBE-MARK-MASQ`,
  `-A ${chain} -p tcp -m tcp -j DNAT --to-destination ${address}:${BACKEND_PORT}`,
]

const PODS = '10.244.0.0/16'

const KUBE_PROXY_BASE = `add table ip kube-proxy
add set ip kube-proxy cluster-ips { type ipv4_addr; }
add set ip kube-proxy nodeport-ips { type ipv4_addr; }
add map ip kube-proxy service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
add map ip kube-proxy service-nodeports { type inet_proto . inet_service : verdict; }
add map ip kube-proxy no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict; }
add map ip kube-proxy firewall-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
add chain ip kube-proxy mark-for-masquerade
add rule ip kube-proxy mark-for-masquerade meta mark set meta mark or 0x4000
add chain ip kube-proxy masquerading
add rule ip kube-proxy masquerading meta mark and 0x4000 == 0 return
add rule ip kube-proxy masquerading meta mark set meta mark xor 0x4000
add rule ip kube-proxy masquerading masquerade fully-random
add chain ip kube-proxy services
add rule ip kube-proxy services ip daddr . meta l4proto . th dport vmap @service-ips
add rule ip kube-proxy services ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
add chain ip kube-proxy cluster-ips-check
add rule ip kube-proxy cluster-ips-check ip daddr @cluster-ips reject
add rule ip kube-proxy cluster-ips-check ip daddr { 10.96.0.0/12 } drop
add chain ip kube-proxy firewall-check
add rule ip kube-proxy firewall-check ip daddr . meta l4proto . th dport vmap @firewall-ips
add chain ip kube-proxy service-endpoints-check
add rule ip kube-proxy service-endpoints-check ip daddr . meta l4proto . th dport vmap @no-endpoint-services
add chain ip kube-proxy filter-prerouting { type filter hook prerouting priority -110; }
add rule ip kube-proxy filter-prerouting ct state new jump firewall-check
add chain ip kube-proxy filter-forward { type filter hook forward priority -110; }
add rule ip kube-proxy filter-forward ct state new jump service-endpoints-check
add rule ip kube-proxy filter-forward ct state new jump cluster-ips-check
add chain ip kube-proxy filter-input { type filter hook input priority -110; }
add rule ip kube-proxy filter-input ct state new jump service-endpoints-check
add chain ip kube-proxy filter-output { type filter hook output priority -110; }
add rule ip kube-proxy filter-output ct state new jump service-endpoints-check
add rule ip kube-proxy filter-output ct state new jump firewall-check
add chain ip kube-proxy filter-output-post-dnat { type filter hook output priority -90; }
add rule ip kube-proxy filter-output-post-dnat ct state new jump cluster-ips-check
add chain ip kube-proxy nat-prerouting { type nat hook prerouting priority dstnat; }
add rule ip kube-proxy nat-prerouting jump services
add chain ip kube-proxy nat-output { type nat hook output priority -100; }
add rule ip kube-proxy nat-output jump services
add chain ip kube-proxy nat-postrouting { type nat hook postrouting priority srcnat; }
add rule ip kube-proxy nat-postrouting jump masquerading
`

const IPTABLES_BASE = `-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
`
