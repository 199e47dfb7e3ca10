/** What rooms beside Services have in the kernel, by the target that a test is about: agents told to use it, and what they wrote. */
import { exec } from '../../src/kernel/exec.ts'
import type { Variant } from '../../src/kernel/iptables.ts'
import { targetName, type TargetName } from './target.ts'
import { inside, within } from './world.ts'

/** Of a shipped agent. */
export const modeArgs = (name: TargetName = targetName): readonly string[] =>
  name === 'nftables' ? [] : ['--mode', 'iptables']

/** null: nftables. */
export const variantOf = (name: TargetName = targetName): Variant | null =>
  name === 'nftables' ? null : name === 'iptables-legacy' ? 'legacy' : 'nft'

/** Makes a host one that uses the variant: kubelet's hint is there, and in no other. */
export async function hostUses(variant: Variant, namespace = 'n1'): Promise<void> {
  for (const each of ['legacy', 'nft'] as const)
    for (const tool of [`iptables-${each}`, `ip6tables-${each}`]) {
      await exec([...within(namespace), tool, '-w', '-t', 'mangle', '-F', HINT] as unknown as [string])
      await exec([...within(namespace), tool, '-w', '-t', 'mangle', '-X', HINT] as unknown as [string])
      if (each === variant) await inside(namespace, tool, '-w', '-t', 'mangle', '-N', HINT)
    }
}

/** All rules and members of masquerading or the overlay's guard, counters apart; '': nothing of it is there. */
export async function rulesOf(room: 'egress' | 'overlay', namespace = 'n1', name = targetName): Promise<string> {
  if (name === 'nftables') {
    const listed = await exec([...within(namespace), 'nft', 'list', 'table', 'inet', `fairlead_${room}`] as unknown as [string]) // prettier-ignore
    return listed.kind === 'done' ? listed.stdout.replace(/packets \d+ bytes \d+/g, '') : ''
  }
  const lines: string[] = []
  for (const tool of ['iptables', 'ip6tables'])
    for (const line of (await inside(namespace, `${tool}-${variantOf(name)}-save`)).split('\n'))
      if (line.includes(room === 'egress' ? 'FAIRLEAD-EGRESS' : 'FAIRLEAD-OVERLAY'))
        lines.push(`${tool} ${line.replace(/\[\d+:\d+\]/, '')}`)
  const sets = await inside(namespace, 'ipset', 'save')
  const ofRoom = sets.split('\n').filter((line) => (room === 'egress' ? /-KEPT/ : /-VTEPS/).test(line))
  return [...lines, ...ofRoom.map((line) => line.replace(/^(create .*? family \w+).*/, '$1')).sort()].join('\n')
}

const HINT = 'KUBE-KUBELET-CANARY'
