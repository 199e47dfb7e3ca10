/**
 * Hosts files of running pods, kept fresh. Each is in a folder that the pod sees at HOSTS_FOLDER, with /etc/hosts a link
 * into it: a new file takes the place of the old one, and nobody ever reads half of one.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ApiObject } from './api/object.ts'
import type { Store } from './api/store.ts'
import { hostsOf, podHosts } from './hosts.ts'

export class HostsFiles {
  readonly #store: Store
  readonly #folder: string
  readonly #pods = new Map<string, { readonly pod: ApiObject; readonly ips: readonly string[] }>()
  #dirty = false

  constructor(store: Store, place: string) {
    this.#store = store
    this.#folder = join(place, 'hosts')
    mkdirSync(this.#folder, { recursive: true })
    store.onChange(({ resource }) => {
      if (resource.plural === 'services' || resource.plural === 'endpointslices') this.#mark()
    })
  }

  /** The pod's folder, with its file in it. */
  add(pod: ApiObject, ips: readonly string[]): string {
    this.#pods.set(pod.metadata.uid, { pod, ips })
    mkdirSync(this.#path(pod), { recursive: true })
    this.#write(pod, ips, hostsOf(this.#store, pod.metadata.namespace ?? 'default'))
    return this.#path(pod)
  }

  remove(pod: ApiObject): void {
    this.#pods.delete(pod.metadata.uid)
    rmSync(this.#path(pod), { recursive: true, force: true })
  }

  #path(pod: ApiObject): string {
    return join(this.#folder, pod.metadata.uid)
  }

  #mark(): void {
    if (this.#dirty) return
    this.#dirty = true
    setTimeout(() => this.#rewrite(), COALESCE_MS)
  }

  #rewrite(): void {
    this.#dirty = false
    const texts = new Map<string, string>()
    for (const { pod, ips } of this.#pods.values()) {
      const namespace = pod.metadata.namespace ?? 'default'
      this.#write(
        pod,
        ips,
        texts.getOrInsertComputed(namespace, () => hostsOf(this.#store, namespace)),
      )
    }
  }

  #write(pod: ApiObject, ips: readonly string[], services: string): void {
    const file = join(this.#path(pod), HOSTS_FILE)
    writeFileSync(`${file}.new`, podHosts(pod, ips, services))
    renameSync(`${file}.new`, file)
  }
}

/** Where a pod sees its folder, and a node its own. */
export const HOSTS_FOLDER = '/run/hosts'
export const HOSTS_FILE = 'hosts'
const COALESCE_MS = 10
