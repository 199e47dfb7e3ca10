/** One node of the lab: its namespaces, its Node object, and the processes that run on it besides pods. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { start } from '../kernel/exec.ts'
import { textOf as conflistText, type CniNetwork } from '../cni/conflist.ts'
import { conflistOf } from './cni.ts'
import { run } from './command.ts'
import { BoundedLog } from './log.ts'
import { coverNode } from './mounts.ts'
import { nodesIn } from './place.ts'
import type { NodePlan } from './plan.ts'
import { FILES_FOLDER, HOSTS_FILE, NODE_RESOLV_CONF, RESOLV_FILE } from './podfiles.ts'
import { Prober } from './prober.ts'
import { CARRIER } from './program.ts'

export interface LabNode {
  readonly plan: NodePlan
  /** Start of a command line that runs what follows in the node's mount, host name and network namespaces. */
  readonly enter: readonly [string, ...string[]]
  readonly network: CniNetwork
  readonly prober: Prober
  readonly log: BoundedLog
}

/** Makes the node's mount and host name namespaces; its network namespace is there already. Throws when it cannot. */
export async function buildNode(plan: NodePlan, place: string): Promise<LabNode> {
  const pid = await holdNamespaces(plan)
  const enter = ['nsenter', '--target', String(pid), '--mount', '--uts', '--net', '--'] as const
  const network = conflistOf(plan)
  const skeleton = join(nodesIn(place), plan.name)
  const files = {
    'etc/cni/net.d/10-fairlead.conflist': conflistText(network),
    'run/netns/.keep': '',
    'run/fairlead/.keep': '',
    [join(FILES_FOLDER, HOSTS_FILE)]: textOf('/etc/hosts'),
    [join(FILES_FOLDER, RESOLV_FILE)]: NODE_RESOLV_CONF,
  }
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(skeleton, path)), { recursive: true })
    writeFileSync(join(skeleton, path), text)
  }
  // Files of the machine, or its links elsewhere, make way for links to what each pod sees as its own.
  for (const name of [HOSTS_FILE, RESOLV_FILE]) symlinkSync(join(FILES_FOLDER, name), join(skeleton, 'etc', name))
  await coverNode(place, enter)
  await Promise.all([
    run([...enter, 'cp', '-r', '--remove-destination', `${skeleton}/.`, '/']),
    run([...enter, 'hostname', plan.name]),
  ])
  const log = new BoundedLog(join(place, 'logs', `${plan.name}.log`))
  return { plan, enter, network, log, prober: new Prober([...enter, CARRIER, 'probe']) }
}

/**
 * A process that does nothing but keep the namespaces. Not `unshare --mount=FILE`: on Linux 6.18 that bind mount was now
 * and then refused with EINVAL (seen, cause not proven; mnt_ns_loop() in fs/namespace.c compares the namespaces' ids).
 */
async function holdNamespaces({ name }: NodePlan): Promise<number> {
  const command = ['nsenter', `--net=/run/netns/${name}`, '--', 'unshare', '--mount', '--uts', '--', 'cat'] as const
  const holder = start(command, { stdio: ['pipe', 'pipe', 'inherit'] })
  await new Promise<void>((resolve, reject) => {
    holder.once('error', reject)
    holder.once('exit', (code) =>
      reject(new Error(`the namespaces of node ${name} could not be made (exit code ${code})`)),
    )
    holder.stdout!.once('data', () => resolve())
    holder.stdin!.write('made?\n') // an echo comes once `cat` runs, inside
  })
  return holder.pid!
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // a machine without one
  }
}

export function nodeObject(plan: NodePlan): Record<string, unknown> {
  const now = new Date().toISOString().slice(0, 19) + 'Z'
  const capacity = { cpu: '8', memory: '16Gi', pods: '110' }
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: plan.name,
      labels: {
        'kubernetes.io/hostname': plan.name,
        'kubernetes.io/os': 'linux',
        'kubernetes.io/arch': process.arch === 'x64' ? 'amd64' : process.arch,
        'topology.kubernetes.io/zone': plan.zone,
        'topology.kubernetes.io/region': 'z',
      },
    },
    spec: { podCIDR: plan.podCIDRs[0], podCIDRs: [...plan.podCIDRs] },
    status: {
      addresses: [
        { type: 'InternalIP', address: plan.ipv4 },
        { type: 'InternalIP', address: plan.ipv6 },
        { type: 'Hostname', address: plan.name },
      ],
      capacity,
      allocatable: capacity,
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'KubeletReady',
          message: 'the lab runs its pods',
          lastHeartbeatTime: now,
          lastTransitionTime: now,
        },
      ],
      nodeInfo: {
        kubeletVersion: 'v1.36.0-fairlead',
        operatingSystem: 'linux',
        architecture: process.arch,
        kernelVersion: '',
        osImage: '',
        containerRuntimeVersion: 'fairlead://0',
      },
    },
  }
}
