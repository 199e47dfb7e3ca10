/** The clusters that a Corefile has answered: each is read by itself, with tables and copies of its own. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { createInlets, createTables, type Tables } from '../cluster/tables.ts'
import type { KindState } from '../cluster/source/kube.ts'
import { NO_TLS, type TlsSettings } from '../cluster/source/kube/settings.ts'
import type { Readable } from '../core/table.ts'
import { clustersOf, selectorsOf, type ClusterSets } from '../dns/clusters.ts'
import type { KubernetesApi, KubernetesSet } from '../dns/corefile/configuration.ts'
import { whyMissing } from '../dns/missing.ts'
import { zonesOf } from '../dns/names.ts'
import type { NameOptions } from '../dns/options.ts'
import { findWay, sourceBy, type Source, type SourceOptions, type SourceParts, type Way } from './source.ts'

/** How each is reached. */
export type Ways = readonly (ClusterSets & { readonly way: Way })[]

/** Throws a Failure when there is no way to one of them. */
export async function findWays(sets: readonly KubernetesSet[], options: SourceOptions): Promise<Ways> {
  return Promise.all(clustersOf(sets).map(async (cluster) => ({ ...cluster, way: await wayTo(cluster.api, options) })))
}

/** What a Corefile says goes before what the command line does. */
async function wayTo(api: KubernetesApi | null, options: SourceOptions): Promise<Way> {
  if (api === null) return findWay(options)
  if ('kubeconfig' in api) {
    const { kubeconfig, context } = api
    return findWay({ kubeconfig, ...(context !== null && { context }) })
  }
  const { endpoint, tls } = api
  return { kind: 'server', settings: { server: endpoint, tls: tlsOf(tls), auth: { kind: 'none' } }, from: endpoint }
}

const tlsOf = (tls: Extract<KubernetesApi, { endpoint: string }>['tls']): TlsSettings =>
  tls === null ? NO_TLS : { ...NO_TLS, ca: { file: tls.ca }, cert: { file: tls.certificate }, key: { file: tls.key } }

export class DnsCluster {
  readonly title: string
  readonly instances: readonly NameOptions[]
  readonly tables: Tables
  readonly source: Source
  /** It is the one this process runs in, or was told of. */
  readonly own: boolean

  constructor(
    { title, api, labels, instances, way }: Ways[number],
    stateDir: string,
    parts: Omit<SourceParts, 'inlets' | 'rejections' | 'selectors'>,
  ) {
    this.title = title
    this.instances = instances
    this.own = api === null
    this.tables = createTables(title)
    this.source = sourceBy(way, stateDir === '' ? null : join(stateDir, folderOf(title)), {
      inlets: neededFor(instances, this.tables),
      rejections: this.tables.rejections,
      selectors: selectorsOf(labels),
      ...parts,
    })
  }

  /** What names follow from. */
  get shown(): readonly Readable<unknown>[] {
    const { services, slices, namespaces, pods, serviceImports } = this.tables
    return [services, slices, namespaces, pods, serviceImports]
  }

  /** Where each kind stands, and how many objects of it there are. */
  sources(): readonly { readonly state: KindState; readonly objects: number }[] {
    const { services, slices, namespaces, pods, serviceImports } = this.tables
    const tables: Readonly<Record<string, Readable<unknown>>> = {
      ...{ Service: services, EndpointSlice: slices, Namespace: namespaces, Pod: pods, ServiceImport: serviceImports },
    }
    return [...this.source.states()].map((state) => ({
      state: this.title === '' ? state : { ...state, kind: `${state.kind} (${this.title})` },
      objects: tables[state.kind]?.size ?? 0,
    }))
  }

  /** Why a name does not exist; null: it is none of this cluster's, or nothing can be said. */
  whyMissing(name: string): string | null {
    return whyMissing(
      name,
      this.instances.flatMap((options) => zonesOf(options).own),
      this.tables,
    )
  }
}

/** Kinds that nobody reads are not followed, and count as known. */
function neededFor(instances: readonly NameOptions[], tables: Tables): SourceParts['inlets'] {
  const inlets = createInlets(tables, { podNames: instances.some(({ endpointPodNames }) => endpointPodNames) })
  const some = (wants: (options: NameOptions) => boolean): boolean => instances.some(wants)
  const needed = [
    [inlets.services, tables.services, some(() => true)],
    [inlets.namespaces, tables.namespaces, some(() => true)],
    [inlets.slices, tables.slices, some(({ noEndpoints }) => !noEndpoints)],
    [inlets.pods, tables.pods, some(({ pods }) => pods === 'verified')],
    [inlets.serviceImports, tables.serviceImports, some(({ multicluster }) => multicluster.length > 0)],
  ] as const
  for (const [, table, isNeeded] of needed) if (!isNeeded) table.markSynced()
  return needed.flatMap(([inlet, , isNeeded]) => (isNeeded ? [inlet] : []))
}

/** Rows of one cluster, or of other labels, must never be taken for those of another. */
const folderOf = (title: string): string =>
  title === '' ? 'objects' : `objects-${createHash('sha256').update(title).digest('hex').slice(0, 16)}`
