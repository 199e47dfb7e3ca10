/** The network side of a pod: a network namespace wired by CNI, or the node's own for pods of the host network. */
import { describe, exec } from '../kernel/exec.ts'
import type { ApiObject } from './api/object.ts'
import { bandwidthOf } from './bandwidth.ts'
import { addToNetwork, delFromNetwork, type CniResult, type PortMapping, type Sandbox as CniSandbox } from './cni.ts'
import { QUICK_ADDRESSES } from './network.ts'
import type { LabNode } from './node.ts'
import { specOf } from './podspec.ts'

export interface Sandbox {
  /** Path of the network namespace as the node sees it. */
  readonly netns: string
  /** Preferred family first. */
  readonly ips: readonly string[]
  /** What CNI ADD took; 0 for the host network. */
  readonly cniMs: number
  remove(): Promise<void>
}

export type SandboxAnswer =
  { readonly kind: 'done'; readonly sandbox: Sandbox } | { readonly kind: 'failed'; readonly reason: string }

export async function makeSandbox(node: LabNode, pod: ApiObject): Promise<SandboxAnswer> {
  if (specOf(pod).hostNetwork) return { kind: 'done', sandbox: hostSandbox(node) }
  const limits = bandwidthOf(pod.metadata.annotations)
  if (limits.kind === 'failed') return limits
  const { bandwidth } = limits
  const name = `cni-${pod.metadata.uid}`
  const netns = `/run/netns/${name}`
  const cni: CniSandbox = {
    id: pod.metadata.uid,
    netns,
    namespace: pod.metadata.namespace ?? 'default',
    pod: pod.metadata.name,
    portMappings: portMappings(pod),
    ...(bandwidth && { bandwidth }),
  }
  const removeNetns = async (): Promise<void> => void (await exec([...node.enter, 'ip', 'netns', 'delete', name]))
  const made = await exec([...node.enter, 'ip', 'netns', 'add', name])
  if (made.kind !== 'done') return { kind: 'failed', reason: `ip netns add: ${describe(made)}` }
  const set = await exec([...node.enter, 'nsenter', `--net=${netns}`, 'sysctl', '-q', '-w', ...QUICK_ADDRESSES])
  const startMs = performance.now()
  const added =
    set.kind === 'done'
      ? await addToNetwork(node.network, cni, node.enter)
      : ({ kind: 'failed', reason: `sysctl: ${describe(set)}` } as const)
  if (added.kind === 'failed') {
    await delFromNetwork(node.network, cni, undefined, node.enter)
    await removeNetns()
    return added
  }
  const remove = async (): Promise<void> => {
    await delFromNetwork(node.network, cni, added.result, node.enter)
    await removeNetns()
  }
  return { kind: 'done', sandbox: { netns, ips: ipsOf(added.result), cniMs: performance.now() - startMs, remove } }
}

function hostSandbox(node: LabNode): Sandbox {
  // Processes start in the node's network namespace already: the container joins the one it is in.
  const { ipv4, ipv6 } = node.plan
  return { netns: '/proc/self/ns/net', ips: [ipv4, ipv6], cniMs: 0, remove: async () => {} }
}

function ipsOf(result: CniResult): string[] {
  return (result.ips ?? []).map(({ address }) => address.split('/')[0]!)
}

function portMappings(pod: ApiObject): PortMapping[] {
  return specOf(pod).containers.flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort, containerPort, protocol = 'TCP', hostIP }) =>
      hostPort ? [{ hostPort, containerPort, protocol: protocol.toLowerCase(), ...(hostIP && { hostIP }) }] : [],
    ),
  )
}
