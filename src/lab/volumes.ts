/** Volumes of one pod: emptyDir, configMap, secret and hostPath. What a ConfigMap says now is seen as kubelet shows it: all of its files change at once. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import type { ApiObject } from './api/object.ts'
import type { Store } from './api/store.ts'
import { contentOf } from './env.ts'
import { specOf, type ContainerSpec, type KeyToPath, type VolumeSpec } from './podspec.ts'

export type Shown =
  | {
      readonly kind: 'done'
      /** As `fairlead-carrier container --bind` takes them. */
      readonly binds: readonly string[]
      /** What is not shown, and why, for people. */
      readonly left: readonly string[]
    }
  | { readonly kind: 'failed'; readonly reason: string }

export class Volumes {
  readonly #pod: ApiObject
  readonly #store: Store
  readonly #folder: string
  readonly #stop: () => void

  constructor(pod: ApiObject, store: Store, place: string) {
    this.#pod = pod
    this.#store = store
    this.#folder = join(place, 'volumes', pod.metadata.uid)
    this.#stop = store.onChange(({ resource, object }) => {
      if (resource.plural === 'configmaps' || resource.plural === 'secrets') this.#refresh(object)
    })
  }

  /** What a container that is about to start sees of them. */
  shownTo(container: ContainerSpec): Shown {
    const binds: string[] = []
    const left: string[] = []
    for (const { name, mountPath, subPath = '', readOnly = false } of container.volumeMounts ?? []) {
      const volume = specOf(this.#pod).volumes?.find((candidate) => candidate.name === name)
      if (volume === undefined) return { kind: 'failed', reason: `volume ${name} is not among the pod's volumes` }
      const source = this.#sourceOf(volume)
      if (source.kind === 'failed') return source
      if (source.path === null) left.push(`volume ${name}: the lab has no volumes of that kind`)
      else if (!existsSync(source.path)) left.push(`volume ${name}: ${source.path} is not on this machine`)
      else if (!canBeMade(mountPath)) left.push(`volume ${name}: ${mountPath} is not on this machine`)
      else {
        const path = join(source.path, normalize(`/${subPath}`))
        if (subPath !== '' && !existsSync(path)) {
          if (volume.emptyDir === undefined) return { kind: 'failed', reason: `volume ${name} has no ${subPath}` }
          mkdirSync(path, { recursive: true })
        }
        binds.push(`${path}:${mountPath}${readOnly ? ':ro' : ''}`)
      }
    }
    return { kind: 'done', binds, left }
  }

  remove(): void {
    this.#stop()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #sourceOf(
    volume: VolumeSpec,
  ): { readonly kind: 'done'; readonly path: string | null } | { readonly kind: 'failed'; readonly reason: string } {
    if (volume.hostPath) return { kind: 'done', path: volume.hostPath.path }
    const path = join(this.#folder, volume.name)
    const files = filesOf(volume)
    if (files !== null) {
      const content = this.#contentOf(files)
      if (content === undefined && !files.optional) {
        const kind = files.resource === 'configmaps' ? 'ConfigMap' : 'Secret'
        return { kind: 'failed', reason: `volume ${volume.name}: ${kind} ${files.name} is not there; create it` }
      }
      if (!existsSync(path)) show(path, content ?? {}, files.items)
    } else if (volume.emptyDir === undefined) return { kind: 'done', path: null }
    mkdirSync(path, { recursive: true })
    return { kind: 'done', path }
  }

  #refresh({ metadata, kind }: ApiObject): void {
    if (metadata.namespace !== this.#pod.metadata.namespace) return
    for (const volume of specOf(this.#pod).volumes ?? []) {
      const files = filesOf(volume)
      const path = join(this.#folder, volume.name)
      if (files === null || files.name !== metadata.name || files.kind !== kind || !existsSync(path)) continue
      const content = this.#contentOf(files)
      if (content !== undefined) show(path, content, files.items) // what was deleted stays as it was seen last
    }
  }

  #contentOf({ resource, name }: Files): Readonly<Record<string, Buffer>> | undefined {
    return contentOf(resource, this.#store.get(resource, this.#pod.metadata.namespace ?? 'default', name))
  }
}

interface Files {
  readonly resource: 'configmaps' | 'secrets'
  readonly kind: 'ConfigMap' | 'Secret'
  readonly name: string
  readonly items: readonly KeyToPath[] | undefined
  readonly optional: boolean
}

function filesOf({ configMap, secret }: VolumeSpec): Files | null {
  const { items, optional = false } = configMap ?? secret ?? {}
  if (configMap) return { resource: 'configmaps', kind: 'ConfigMap', name: configMap.name, items, optional }
  if (secret) return { resource: 'secrets', kind: 'Secret', name: secret.secretName, items, optional }
  return null
}

/** As kubelet's atomic writer: files in a folder of this version, links to them through ..data, which is replaced in one step. */
function show(path: string, content: Readonly<Record<string, Buffer>>, items: readonly KeyToPath[] | undefined): void {
  const wanted = items ?? Object.keys(content).map((key) => ({ key, path: key }))
  const version = `..${process.hrtime.bigint()}`
  mkdirSync(join(path, version), { recursive: true })
  const shown = new Set<string>()
  for (const { key, path: file } of wanted) {
    const bytes = content[key]
    if (bytes === undefined) continue
    const inside = normalize(`/${file}`).slice(1)
    mkdirSync(dirname(join(path, version, inside)), { recursive: true })
    writeFileSync(join(path, version, inside), bytes)
    shown.add(inside.split('/')[0]!)
  }
  symlinkSync(version, join(path, '..data.new'))
  renameSync(join(path, '..data.new'), join(path, '..data'))
  for (const name of shown) if (!existsSync(join(path, name))) symlinkSync(`..data/${name}`, join(path, name))
  for (const name of readdirSync(path))
    if (name !== '..data' && name !== version && !shown.has(name)) rmSync(join(path, name), { recursive: true })
}

/** A node has these folders to itself; of all others it sees the machine's. */
const canBeMade = (path: string): boolean =>
  existsSync(path) || OWN.some((folder) => normalize(path).startsWith(`${folder}/`))
const OWN = ['/etc', '/var/lib', '/tmp', '/run', '/var/run']
