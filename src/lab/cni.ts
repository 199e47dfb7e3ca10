/**
 * Runs a chain of CNI plugins as a container runtime does (CNI specification 1.0, section 2 and 4): parameters in the
 * environment, configuration on standard input, the result of one plugin handed to the next.
 */
import { conflist, type CniNetwork, type CniPlugin } from '../cni/conflist.ts'
import { describe, exec } from '../kernel/exec.ts'
import type { Bandwidth } from './bandwidth.ts'
import { POD_MTU, type NodePlan } from './plan.ts'

export interface Sandbox {
  readonly id: string
  /** Path of the network namespace as the plugins see it. */
  readonly netns: string
  readonly namespace: string
  readonly pod: string
  readonly portMappings: readonly PortMapping[]
  readonly bandwidth?: Bandwidth
}

export interface PortMapping {
  readonly hostPort: number
  readonly containerPort: number
  readonly protocol: string
  readonly hostIP?: string
}

export interface CniResult {
  readonly ips?: readonly { readonly address: string }[]
  readonly [field: string]: unknown
}

export type CniAnswer =
  { readonly kind: 'done'; readonly result: CniResult } | { readonly kind: 'failed'; readonly reason: string }

/** The node's network for pods: what its agent writes to /etc/cni/net.d. */
export const conflistOf = ({ podCIDRs }: NodePlan): CniNetwork =>
  conflist({ ranges: podCIDRs, mtu: POD_MTU, dataDir: null })

/** Adds the sandbox to the network: every plugin in order. `enter` leads into the node's namespaces. */
export async function addToNetwork(
  network: CniNetwork,
  sandbox: Sandbox,
  enter: readonly [string, ...string[]],
): Promise<CniAnswer> {
  const loopback = await call('ADD', LOOPBACK.plugins[0]!, LOOPBACK, { ...sandbox }, 'lo', undefined, enter)
  if (loopback.kind === 'failed') return loopback
  let previous: CniResult | undefined
  for (const plugin of network.plugins) {
    const answer = await call('ADD', plugin, network, sandbox, 'eth0', previous, enter)
    if (answer.kind === 'failed') return answer
    previous = answer.result
  }
  return { kind: 'done', result: previous ?? {} }
}

/** Takes the sandbox off the network: every plugin in reverse order, all of them also when one fails. */
export async function delFromNetwork(
  network: CniNetwork,
  sandbox: Sandbox,
  added: CniResult | undefined,
  enter: readonly [string, ...string[]],
): Promise<CniAnswer> {
  const failures: string[] = []
  for (const plugin of network.plugins.toReversed()) {
    const answer = await call('DEL', plugin, network, sandbox, 'eth0', added, enter)
    if (answer.kind === 'failed') failures.push(answer.reason)
  }
  return failures.length === 0 ? { kind: 'done', result: {} } : { kind: 'failed', reason: failures.join('; ') }
}

async function call(
  command: 'ADD' | 'DEL',
  plugin: CniPlugin,
  network: CniNetwork,
  sandbox: Sandbox,
  interfaceName: string,
  previous: CniResult | undefined,
  enter: readonly [string, ...string[]],
): Promise<CniAnswer> {
  const { capabilities = {}, ...settings } = plugin
  const runtimeConfig = runtimeConfigOf(capabilities, sandbox)
  const configuration = {
    ...settings,
    cniVersion: network.cniVersion,
    name: network.name,
    ...(runtimeConfig !== null && { runtimeConfig }),
    ...(previous && { prevResult: previous }),
  }
  const answer = await exec([...enter, `${PLUGINS}/${plugin.type}`], {
    stdin: JSON.stringify(configuration),
    env: { ...process.env, ...parameters(command, sandbox, interfaceName) },
  })
  if (answer.kind === 'done')
    return { kind: 'done', result: answer.stdout ? (JSON.parse(answer.stdout) as CniResult) : {} }
  return { kind: 'failed', reason: `CNI ${command} ${plugin.type}: ${describe(answer)}` }
}

/** What a plugin asks for by its capabilities, and the pod has (CNI conventions); null: nothing. */
function runtimeConfigOf(
  capabilities: Readonly<Record<string, boolean>>,
  { portMappings, bandwidth }: Sandbox,
): Readonly<Record<string, unknown>> | null {
  const asked = Object.entries({ portMappings, bandwidth }).filter(
    ([name, value]) => capabilities[name] === true && value !== undefined,
  )
  return asked.length === 0 ? null : Object.fromEntries(asked)
}

function parameters(command: string, sandbox: Sandbox, interfaceName: string): NodeJS.ProcessEnv {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: sandbox.id,
    CNI_NETNS: sandbox.netns,
    CNI_IFNAME: interfaceName,
    CNI_PATH: PLUGINS,
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${sandbox.namespace};K8S_POD_NAME=${sandbox.pod};K8S_POD_INFRA_CONTAINER_ID=${sandbox.id}`,
  }
}

/** Where Debian's package containernetworking-plugins puts them. */
export const PLUGINS = '/usr/lib/cni'
// Container runtimes bring `lo` up by this plugin, in a network of its own (containerd: internal/cri/server/cni_conf).
const LOOPBACK: CniNetwork = { cniVersion: '1.0.0', name: 'cni-loopback', plugins: [{ type: 'loopback' }] }
