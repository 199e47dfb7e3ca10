/** Files that every running pod has of its own: hosts and resolv.conf, in a folder that it sees at FILES_FOLDER, with links in /etc into it. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ApiObject } from './api/object.ts'
import { CLUSTER_DNS, NODE_LOCAL_DNS } from './dns.ts'
import type { LabOptions } from './outer.ts'
import { specOf } from './podspec.ts'
import { resolvConf, type ClusterDns } from './resolvconf.ts'

export class PodFiles {
  readonly #folder: string
  readonly #dns: ClusterDns

  constructor({ place, nodeLocalDns }: Pick<LabOptions, 'place' | 'nodeLocalDns'>) {
    this.#folder = join(place, 'hosts')
    this.#dns = { ...CLUSTER_DNS, ...(nodeLocalDns && { nameservers: NODE_LOCAL_DNS }) }
  }

  /** The pod's folder, with its files in it. */
  add(pod: ApiObject, ips: readonly string[]): string {
    const path = this.#path(pod)
    mkdirSync(path, { recursive: true })
    writeFileSync(join(path, HOSTS_FILE), hostsOf(pod, ips))
    const text = resolvConf(specOf(pod), pod.metadata.namespace ?? 'default', this.#dns, NODE_RESOLV_CONF)
    writeFileSync(join(path, RESOLV_FILE), text)
    return path
  }

  remove(pod: ApiObject): void {
    rmSync(this.#path(pod), { recursive: true, force: true })
  }

  #path(pod: ApiObject): string {
    return join(this.#folder, pod.metadata.uid)
  }
}

/** As kubelet writes it: the pod itself, and what it asks for. */
export function hostsOf(pod: ApiObject, ips: readonly string[]): string {
  const { hostname = pod.metadata.name, subdomain, hostAliases = [] } = specOf(pod)
  const full = `${hostname}.${subdomain}.${pod.metadata.namespace}.svc.${CLUSTER_DNS.domain}`
  const names = subdomain === undefined ? hostname : `${full}\t${hostname}`
  const own = ips.map((ip) => `${ip}\t${names}\n`).join('')
  const aliases = hostAliases.map(({ ip, hostnames = [] }) => `${ip}\t${hostnames.join(' ')}\n`).join('')
  return `${LOCAL}${own}${aliases}`
}

const LOCAL = '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n'
/** Where a pod sees its folder, and a node its own. */
export const FILES_FOLDER = '/run/hosts'
export const HOSTS_FILE = 'hosts'
export const RESOLV_FILE = 'resolv.conf'
export const NODE_RESOLV_CONF =
  "# The lab has no resolver but the cluster's own, which pods use.\noptions timeout:1 attempts:1\n"
