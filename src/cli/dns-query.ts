/** `fairlead dns query`: what the cluster's DNS answers, and what gave it. */
import type { Command } from 'commander'
import type { ApiObject } from '../lab/api/object.ts'
import type { PodSpec } from '../lab/podspec.ts'
import { CLUSTER_DNS } from '../lab/dns.ts'
import { resolvConf } from '../lab/resolvconf.ts'
import type { Lookup, Step } from './dns-lookup.ts'
import { askServer, type DnsServer, serversOf } from './dns-servers.ts'
import { Failure } from './failure.ts'
import { connect } from './lab-client.ts'

interface Options {
  readonly from?: string
  readonly namespace: string
  readonly output?: string
  readonly address?: string
  readonly server?: string
  readonly domain: string
}

export function registerQuery(dns: Command): void {
  dns
    .command('query')
    .description("what the cluster's DNS answers, and which plugin and object gave it")
    .argument('<name>', 'as a program would look it up with --from, else absolute')
    .argument('[type]', 'A, AAAA, SRV, PTR, TXT, TYPE65, ...', 'A')
    .option('--from <pod>', 'as this pod: POD or NAMESPACE/POD; its search list is tried')
    .option('-n, --namespace <namespace>', 'namespace of the pod', 'default')
    .option('-o, --output <format>', 'json, yaml, or wide: with authority, additional and the server block')
    .option('--address <address>', '`fairlead dns` at host:port or a socket, instead of the cluster that runs here')
    .option('-s, --server <url>', 'API server that knows the pod (unix:///path or http://host:port)')
    .option('--domain <domain>', "the cluster's domain, for search lists", CLUSTER_DNS.domain)
    .addHelpText('after', EXAMPLES)
    .action(query)
}

/** What was looked up in turn; the last one counts. */
export interface Found {
  readonly server: string
  /** null: nobody in particular. */
  readonly from: { readonly pod: string; readonly address: string | null } | null
  readonly lookups: readonly Lookup[]
}

async function query(name: string, type: string, options: Options): Promise<void> {
  if (options.output !== undefined && !['json', 'yaml', 'wide'].includes(options.output))
    throw new Failure(`-o ${options.output}: expected json, yaml or wide`, 2)
  try {
    const found = await find(name, type, options)
    process.stdout.write(await shown(found, options.output))
    process.exitCode = exitCodeOf(found.lookups.at(-1)!)
  } catch (error) {
    // 1 says that there is no such name, which nobody has said.
    throw error instanceof Failure ? new Failure(error.message, 2) : error
  }
}

async function find(name: string, type: string, options: Options): Promise<Found> {
  const servers = await serversOf(options.address)
  const pod = options.from === undefined ? null : await podOf(options.from, options)
  const names = pod === null ? [name] : candidates(name, pod.resolver)
  const lookups: Lookup[] = []
  let answering: DnsServer | null = null
  for (const each of names) {
    const [server, lookup] = await ask(answering === null ? servers : [answering], each, type, pod?.address ?? null)
    answering = server
    lookups.push(lookup)
    if (lookup.code === 'NOERROR' && lookup.answer.length > 0) break
  }
  const from = pod === null ? null : { pod: pod.name, address: pod.address }
  return { server: answering!.name, from, lookups }
}

async function ask(
  servers: readonly DnsServer[],
  name: string,
  type: string,
  from: string | null,
): Promise<[DnsServer, Lookup]> {
  const query = { name, type, ...(from !== null && { from }) }
  return askServer<Lookup>(servers, { path: '/dns/query', query })
}

interface Client {
  /** `shop/web-0`. */
  readonly name: string
  readonly address: string | null
  /** Text of its resolv.conf. */
  readonly resolver: string
}

/** The pod, and the resolv.conf that a kubelet writes for it. The node's own, which adds to the search list, is not known here. */
async function podOf(word: string, { namespace, server, domain }: Options): Promise<Client> {
  const [inside, name] = word.includes('/') ? (word.split('/', 2) as [string, string]) : [namespace, word]
  const api = connect(server)
  const pod = await api.must<ApiObject>({
    path: `/api/v1/namespaces/${encodeURIComponent(inside)}/pods/${encodeURIComponent(name)}`,
  })
  const status = (pod['status'] ?? {}) as { podIP?: string }
  const cluster = { nameservers: CLUSTER_DNS.nameservers, domain }
  const resolver = resolvConf(pod['spec'] as unknown as PodSpec, inside, cluster, '')
  return { name: `${inside}/${name}`, address: status.podIP ?? null, resolver }
}

/** The names that resolv.conf(5) has tried, in turn. Exported for its tests. */
export function candidates(name: string, resolver: string): readonly string[] {
  if (name.endsWith('.')) return [name]
  const lines = resolver.split('\n').map((line) => line.split(' '))
  const search = lines.find(([word]) => word === 'search')?.slice(1) ?? []
  const options = lines.find(([word]) => word === 'options')?.slice(1) ?? []
  const ndots = Number(options.find((option) => option.startsWith('ndots:'))?.slice('ndots:'.length) ?? 1)
  const searched = search.map((domain) => `${name}.${domain}.`)
  return name.split('.').length - 1 >= ndots ? [`${name}.`, ...searched] : [...searched, `${name}.`]
}

/** Exported for its tests. */
export function exitCodeOf({ code, answer }: Lookup): 0 | 1 | 2 {
  if (code === 'NOERROR') return answer.length > 0 ? 0 : 1
  return code === 'NXDOMAIN' ? 1 : 2
}

async function shown(found: Found, output: string | undefined): Promise<string> {
  if (output === 'json') return `${JSON.stringify(found, null, 2)}\n`
  if (output === 'yaml') return (await import('js-yaml')).dump(found, { lineWidth: -1, noRefs: true })
  return page(found, output === 'wide')
}

/** Exported for its tests. */
export function page({ server, from, lookups }: Found, isWide: boolean): string {
  const last = lookups.at(-1)!
  const lines = [
    `;; ${last.name} ${last.type}: ${last.code}${last.code === 'NOERROR' && last.answer.length === 0 ? ', no such record' : ''}`,
  ]
  const records = (title: string, section: Lookup['answer']): void => {
    if (section.length === 0) return
    lines.push('', `;; ${title}:`)
    for (const { name, ttl, type, data } of section) lines.push([name, ttl, 'IN', type, data].join('\t'))
  }
  records('ANSWER', last.answer)
  if (isWide) {
    records('AUTHORITY', last.authority)
    records('ADDITIONAL', last.additional)
  }
  lines.push('', `;; by:     ${stepsText(last.by, last)}`)
  if (last.why !== null) lines.push(`;; why:    ${last.why}`)
  for (const { name, code, answer, why } of lookups.slice(0, -1))
    lines.push(`;; before: ${name} ${verdict(code, answer.length)}${why === null ? '' : `: ${why}`}`)
  if (from !== null)
    lines.push(`;; from:   ${from.pod} ${from.address === null ? '(no address)' : `(${from.address})`}`)
  lines.push(`;; server: ${server}, ${(last.seconds * 1000).toFixed(1)} ms`)
  if (isWide) lines.push(`;; block:  ${last.block ?? 'none'}`, `;; flags:  ${last.flags.join(' ')}`)
  return `${lines.join('\n')}\n`
}

const verdict = (code: string, count: number): string => (code === 'NOERROR' && count === 0 ? 'NODATA' : code)

function stepText({ plugin, object, upstreams }: Step): string {
  if (plugin === null) return 'no plugin'
  if (plugin === 'forward') return `forward to ${upstreams.join(', ')}`
  if (plugin === 'cache') return `cache (from ${upstreams.join(', ')})`
  return object === null ? plugin : `${plugin}: ${object}`
}

/** With what a step is asked, where the one before changed that. */
function stepsText(steps: readonly Step[], asked: { readonly name: string; readonly type: string }): string {
  let { name, type } = asked
  return steps
    .map((step) => {
      const isOther = step.name.toLowerCase() !== name.toLowerCase() || step.type !== type
      ;({ name, type } = step)
      return isOther ? `${stepText(step)} for ${step.name} ${step.type}` : stepText(step)
    })
    .join(', then ')
}

const EXAMPLES = `
Exit code 0: answered; 1: no such name, or nothing of this type; 2: no answer (SERVFAIL, REFUSED, the DNS does not answer).

Examples:
  fairlead dns query web.shop.svc.cluster.local
  fairlead dns query web --from shop/cart-7d9f     as that pod would: its search list is tried
  fairlead dns query _http._tcp.web.shop.svc.cluster.local SRV -o wide
  kubectl -n kube-system port-forward deploy/coredns 9154 &
  fairlead dns query example.org AAAA --address 127.0.0.1:9154`
