import { access, readFile } from 'node:fs/promises'
import { describe, exec } from './exec.ts'
import { findVariant, PREFIX } from './iptables.ts'

export interface Feature {
  readonly name: string
  readonly present: boolean
  /** Present: what was found. Absent: what is lost without it, and how to get it. */
  readonly remedy: string
}

/** Where rules go; none: another program has those of Services, ours are in nftables. */
export type Rules = 'nftables' | 'iptables' | 'none'

/** Looks what this kernel and its tools can do that those rules need. Changes nothing. */
export async function probeFeatures(rules: Rules): Promise<readonly Feature[]> {
  const own = rules === 'iptables' ? [iptables(), ipset()] : [nftables(rules)]
  return Promise.all([...own, conntrack(), ipvs(rules)])
}

async function nftables(rules: 'nftables' | 'none'): Promise<Feature> {
  const [version, tables] = await Promise.all([exec(['nft', '--version']), exec(['nft', 'list', 'tables'])])
  const lost = rules === 'nftables' ? 'services cannot be programmed' : 'nothing of pods can be masqueraded or guarded'
  const instead = rules === 'nftables' ? '; or start with --mode iptables' : ''
  const absent = (why: string): Feature => ({ name: 'nftables', present: false, remedy: `${lost}: ${why}${instead}` })
  if (version.kind !== 'done') return absent(describe(version))
  if (tables.kind !== 'done') return absent(`${describe(tables)}; NET_ADMIN and CONFIG_NF_TABLES are needed`)
  return { name: 'nftables', present: true, remedy: version.stdout.trim() }
}

async function iptables(): Promise<Feature> {
  const found = await findVariant(PREFIX)
  if (found.kind === 'none')
    return { name: 'iptables', present: false, remedy: `services cannot be programmed: ${found.reason}` }
  const version = await exec([`iptables-${found.variant}`, '--version'])
  return { name: 'iptables', present: true, remedy: version.kind === 'done' ? version.stdout.trim() : found.variant }
}

async function ipset(): Promise<Feature> {
  const [version, sets] = await Promise.all([exec(['ipset', '--version']), exec(['ipset', 'list', '-n'])])
  const lost = 'no session affinity, no masquerading of pods, no guard of the overlay'
  const absent = (why: string): Feature => ({ name: 'ipset', present: false, remedy: `${lost}: ${why}` })
  if (version.kind !== 'done') return absent(describe(version))
  if (sets.kind !== 'done')
    return absent(`${describe(sets)}; load: modprobe ip_set xt_set ip_set_hash_ip ip_set_hash_net`)
  return { name: 'ipset', present: true, remedy: version.stdout.split('\n')[0]!.trim() }
}

async function conntrack(): Promise<Feature> {
  const max = await readFile('/proc/sys/net/netfilter/nf_conntrack_max', 'utf8').catch(() => null)
  if (max === null)
    return {
      name: 'conntrack',
      present: false,
      remedy: 'addresses cannot be translated: load it with: modprobe nf_conntrack',
    }
  return { name: 'conntrack', present: true, remedy: `nf_conntrack_max ${max.trim()}` }
}

async function ipvs(rules: Rules): Promise<Feature> {
  const present = await access('/proc/net/ip_vs').then(
    () => true,
    () => false,
  )
  return {
    name: 'ipvs',
    present,
    remedy: present ? `not needed in mode ${rules}` : 'only --mode ipvs would need it: modprobe ip_vs',
  }
}
