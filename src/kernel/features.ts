import { access, readFile } from 'node:fs/promises'
import { describe, exec } from './exec.ts'

export interface Feature {
  readonly name: string
  readonly present: boolean
  /** Present: what was found. Absent: what is lost without it, and how to get it. */
  readonly remedy: string
}

/** Looks what this kernel and its tools can do. Changes nothing. */
export async function probeFeatures(): Promise<readonly Feature[]> {
  return Promise.all([nftables(), conntrack(), ipvs()])
}

async function nftables(): Promise<Feature> {
  const [version, tables] = await Promise.all([exec(['nft', '--version']), exec(['nft', 'list', 'tables'])])
  if (version.kind !== 'done') return { name: 'nftables', present: false, remedy: describe(version) }
  if (tables.kind !== 'done')
    return {
      name: 'nftables',
      present: false,
      remedy: `services cannot be programmed: ${describe(tables)}; NET_ADMIN and CONFIG_NF_TABLES are needed`,
    }
  return { name: 'nftables', present: true, remedy: version.stdout.trim() }
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

async function ipvs(): Promise<Feature> {
  const present = await access('/proc/net/ip_vs').then(
    () => true,
    () => false,
  )
  return {
    name: 'ipvs',
    present,
    remedy: present ? 'not needed in nftables mode' : 'only --mode ipvs would need it: modprobe ip_vs',
  }
}
