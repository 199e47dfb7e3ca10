/** Hosts files of running pods, kept fresh. Rewritten in place: they are bind-mounted, a new file would not be seen. */
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
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

  /** Path of the pod's file, written. */
  add(pod: ApiObject, ips: readonly string[]): string {
    this.#pods.set(pod.metadata.uid, { pod, ips })
    this.#write(pod, ips, hostsOf(this.#store, pod.metadata.namespace ?? 'default'))
    return this.#path(pod)
  }

  remove(pod: ApiObject): void {
    this.#pods.delete(pod.metadata.uid)
    rmSync(this.#path(pod), { force: true })
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
    const file = openSync(this.#path(pod), 'a+', 0o644)
    const text = Buffer.from(podHosts(pod, ips, services))
    ftruncateSync(file, 0)
    writeSync(file, text)
    closeSync(file)
  }
}

const COALESCE_MS = 10
