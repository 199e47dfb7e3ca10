/** The resolv.conf of a pod, as kubelet writes it (pkg/kubelet/network/dns/dns.go). Pure. */
import type { PodSpec } from './podspec.ts'

export interface ClusterDns {
  /** Addresses of the cluster's DNS Service. */
  readonly nameservers: readonly string[]
  /** Without the final dot: `cluster.local`. */
  readonly domain: string
}

/** What a resolv.conf says (resolv.conf(5)); a name comes once. */
interface Resolver {
  readonly nameservers: readonly string[]
  readonly searches: readonly string[]
  /** `ndots:5`. */
  readonly options: readonly string[]
}

/** `host`: the text of the node's own. */
export function resolvConf(spec: PodSpec, namespace: string, cluster: ClusterDns, host: string): string {
  const { dnsConfig = {} } = spec
  const base = baseOf(spec, namespace, cluster, parse(host))
  const own = (dnsConfig.options ?? []).map(({ name, value }) => (value ? `${name}:${value}` : name))
  const names = new Set(own.map(nameOf))
  return textOf({
    nameservers: unique([...base.nameservers, ...(dnsConfig.nameservers ?? [])]).slice(0, NAMESERVERS_MAX),
    searches: unique([...base.searches, ...(dnsConfig.searches ?? [])]).slice(0, SEARCHES_MAX),
    options: [...base.options.filter((option) => !names.has(nameOf(option))), ...own],
  })
}

function baseOf(spec: PodSpec, namespace: string, { nameservers, domain }: ClusterDns, host: Resolver): Resolver {
  const policy = spec.dnsPolicy ?? 'ClusterFirst'
  if (policy === 'None') return { nameservers: [], searches: [], options: [] }
  if (policy === 'Default' || (policy === 'ClusterFirst' && spec.hostNetwork === true)) return host
  const searches = [`${namespace}.svc.${domain}`, `svc.${domain}`, domain, ...host.searches]
  return { nameservers, searches, options: ['ndots:5'] }
}

function parse(text: string): Resolver {
  const lines = text.split('\n').map((line) => line.split(/[#;]/)[0]!.trim().split(/\s+/))
  const of = (keyword: string): string[][] => lines.filter(([word]) => word === keyword).map(([, ...rest]) => rest)
  return {
    nameservers: of('nameserver').flatMap(([address]) => address ?? []),
    searches: of('search').at(-1) ?? [],
    options: of('options').flat(),
  }
}

function textOf({ nameservers, searches, options }: Resolver): string {
  const lines = [
    ...(searches.length > 0 ? [`search ${searches.join(' ')}`] : []),
    ...nameservers.map((address) => `nameserver ${address}`),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

const unique = (names: readonly string[]): string[] => [...new Set(names)]
const nameOf = (option: string): string => option.split(':')[0]!

/** Limits of the API for pods (core/v1, MaxDNSNameservers and MaxDNSSearchPaths). */
const NAMESERVERS_MAX = 3
const SEARCHES_MAX = 32
