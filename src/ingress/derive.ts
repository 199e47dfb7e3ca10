import type { ConfigMap } from '../cluster/configmap.ts'
import type { EndpointSlice } from '../cluster/endpointslice.ts'
import type { Ingress } from '../cluster/ingress.ts'
import type { IngressClass } from '../cluster/ingressclass.ts'
import type { Rejection } from '../cluster/rejection.ts'
import type { Secret } from '../cluster/secret.ts'
import type { Service } from '../cluster/service.ts'
import type { Reference } from '../cluster/source/kube/followed.ts'
import type { Key } from '../core/delta.ts'
import { derive } from '../core/derive.ts'
import { gather } from '../core/gather.ts'
import type { Graph } from '../core/graph.ts'
import { InputTable, type Readable, type TableOptions } from '../core/table.ts'
import { union } from '../core/union.ts'
import { deriveCertificates, type Certificates } from './acme/derive.ts'
import { deriveDefault, deriveFacts, deriveSecretRows, deriveUses } from './certificates.ts'
import { deriveClaims, deriveOrders, rejectionsOfClaim, type Claim } from './claims.ts'
import type { ClusterPlan } from './clusters.ts'
import { deriveEndpoints, deriveStaffed } from './endpoints.ts'
import { deriveExpiries } from './expiries.ts'
import { deriveHosts } from './hosts.ts'
import { deriveHostRows, type HostPiece } from './hostrows.ts'
import { deriveListeners, deriveStreams, type Stream } from './listeners.ts'
import type { IngressOptions } from './options.ts'
import { derivePlans, deriveSettings, type Plan } from './plan.ts'
import { deriveReferences } from './references.ts'
import { derivePieces, type Piece } from './routes.ts'
import { clusterRow, type ProxyRow, type SecretRow } from './rows.ts'
import type { ParsedSettings } from './settings.ts'
import { deriveUnstaffed } from './unstaffed.ts'

/** What the proxy's tables follow from. Keys and indexes as cluster/tables.ts makes them. */
export interface IngressInputs {
  readonly ingresses: Readable<Ingress>
  readonly ingressClasses: Readable<IngressClass>
  readonly services: Readable<Service>
  /** With the names of pods, which are for people. */
  readonly slices: Readable<EndpointSlice>
  readonly configMaps: Readable<ConfigMap>
  /** Synced once all that `references` names has been looked for. */
  readonly secrets: Readable<Secret>
  /** One row, of the key '': the certificate that is shown where there is no better one. */
  readonly spare: Readable<SecretRow>
  /** One row, of the key '': about what time it is, in ms since 1970. Only complaints about certificates follow from it. */
  readonly now: Readable<number>
}

export interface Proxying {
  /** For the carrier's table `proxy`. */
  readonly rows: Readable<ProxyRow>
  /** For its table `secrets`. */
  readonly secrets: Readable<SecretRow>
  readonly rejections: Readable<Rejection>
  /** Services that cannot answer now. */
  readonly unstaffed: Readable<Rejection>
  /** Secrets and ConfigMaps that something names, wherever they are. Does not wait for them. */
  readonly references: Readable<Reference>
  /** Those that are served, by `namespace/name`. */
  readonly plans: Readable<Plan>
  readonly settings: Readable<ParsedSettings>
  /** By protocol and port: `tcp 9000`. */
  readonly streams: Readable<Stream>
  /** Of ACME servers. */
  readonly certificates: Certificates
}

export function deriveProxying(graph: Graph, inputs: IngressInputs, told: IngressOptions): Proxying {
  const { services, slices, configMaps, secrets } = inputs
  const options = new InputTable<IngressOptions>('options')
  options.put('', told)
  options.markSynced()
  const settings = deriveSettings(graph, { ...inputs, options })
  const plans = derivePlans(graph, { ...inputs, options }, settings)
  const hosts = held(graph, 'hosts', deriveHosts(graph, plans))
  const claims = deriveClaims(graph, plans)
  const orders = held(graph, 'orders of paths', deriveOrders(graph, claims))
  const facts = deriveFacts(graph, secrets)
  const certificates = deriveCertificates(graph, { options, plans, secrets })
  const staffed = deriveStaffed(graph, services, slices)
  const pieces = derivePieces(graph, claims, {
    options,
    settings,
    plans,
    hosts,
    services,
    staffed,
    configMaps,
    facts,
    orders,
  })
  const ofHosts = deriveHostRows(graph, {
    ...{ options, settings, plans, hosts, claims, services, facts },
    ordered: certificates.wanted,
  })
  const streams = deriveStreams(graph, { options, settings, configMaps, services })
  const clusters = deriveClusters(graph, pieces, ofHosts, streams)
  const uses = deriveUses(graph, plans)
  const expiries = deriveExpiries(graph, plans, facts, inputs.now)
  return {
    rows: union<ProxyRow>('proxy', [
      deriveListeners(graph, { options, settings, configMaps, services }),
      spread(graph, 'stream listeners', streams, ({ row }) => (row === null ? [] : [row])),
      spread(graph, 'routes', pieces, ({ routes }) => routes),
      spread(graph, 'rows of hosts', ofHosts, ({ rows }) => rows),
      spread(graph, 'clusters', clusters, ({ cluster }) => [clusterRow(cluster)]),
      ...deriveEndpoints(graph, slices, services, clusters),
      certificates.proxy,
    ]),
    secrets: union<SecretRow>('secrets', [
      deriveSecretRows(graph, uses, secrets),
      deriveDefault(graph, options, secrets, inputs.spare),
      certificates.secrets,
    ]),
    rejections: complaintsOf(graph, { settings, plans, claims, pieces, ofHosts, streams, expiries, certificates }),
    unstaffed: deriveUnstaffed(graph, { plans, services, staffed }),
    references: deriveReferences(graph, plans, settings, told),
    plans,
    settings,
    streams,
    certificates,
  }
}

/** Rows kept at hand. What `gather` gives is made anew at each look, and all paths of a host look at it, of as many Ingresses. */
const held = <Row>(graph: Graph, name: string, table: Readable<Row>, options: TableOptions<Row> = {}): Readable<Row> =>
  derive<Row, Row>(graph, {
    ...{ name: `${name}, held`, driver: table, inputs: [], rows: (key, row) => [[key, row]] },
    ...options,
  })

interface Complaining {
  readonly settings: Readable<ParsedSettings>
  readonly plans: Readable<Plan>
  readonly claims: Readable<Claim>
  readonly pieces: Readable<Piece>
  readonly ofHosts: Readable<HostPiece>
  readonly streams: Readable<Stream>
  readonly expiries: Readable<Rejection>
  readonly certificates: Certificates
}

function complaintsOf(
  graph: Graph,
  { settings, plans, claims, pieces, ofHosts, streams, expiries, certificates }: Complaining,
): Readable<Rejection> {
  return union<Rejection>('ingress rejections', [
    complaints(graph, 'settings', settings, ({ rejections }: ParsedSettings) => rejections),
    complaints(graph, 'annotations', plans, ({ rejections }: Plan) => rejections),
    complaints(graph, 'claims', claims, rejectionsOfClaim),
    complaints(graph, 'routes', pieces, ({ rejections }: Piece) => rejections),
    complaints(graph, 'hosts', ofHosts, ({ rejections }: HostPiece) => rejections),
    complaints(graph, 'streams', streams, ({ rejection }: Stream) => (rejection === null ? [] : [rejection])),
    expiries,
    certificates.rejections,
  ])
}

/** All that anything sends requests to, by name. Index `slices`: the Service whose slices feed it. */
function deriveClusters(
  graph: Graph,
  pieces: Readable<Piece>,
  ofHosts: Readable<HostPiece>,
  streams: Readable<Stream>,
): Readable<ClusterPlan> {
  // Thousands may name one, all the same: what a cluster is follows from its name and from what all of them read.
  const named = <T>(
    name: string,
    driver: Readable<T>,
    plans: (row: T) => readonly ClusterPlan[],
  ): Readable<ClusterPlan> =>
    derive<ClusterPlan, T>(graph, {
      name: `clusters of ${name}`,
      driver,
      inputs: [],
      rows: (_, row) => plans(row).map((plan) => [plan.cluster.name, plan] as const),
    })
  const all = union<ClusterPlan>('all clusters', [
    named('routes', pieces, ({ clusters }) => clusters),
    named('hosts', ofHosts, ({ clusters }) => clusters),
    named('streams', streams, ({ cluster }) => (cluster === null ? [] : [cluster])),
  ])
  const slices = ({ feed }: ClusterPlan): readonly string[] => (feed.from === 'slices' ? [feed.service] : NONE)
  return held(graph, 'clusters', all, { indexes: { slices } })
}

/** Rows that a row holds, as rows of their own. Of one key in several, the first by the driver's key stands. */
const spread = <In>(
  graph: Graph,
  name: string,
  driver: Readable<In>,
  rows: (row: In) => readonly (readonly [Key, ProxyRow])[],
): Readable<ProxyRow> =>
  gather<ProxyRow, In, ProxyRow>(graph, {
    name,
    driver,
    parts: (_, row) => rows(row),
    row: (_, [first]) => first!,
  })

const complaints = <In>(
  graph: Graph,
  name: string,
  driver: Readable<In>,
  of: (row: In) => Iterable<Rejection>,
): Readable<Rejection> =>
  derive<Rejection, In>(graph, {
    name: `rejections of ${name}`,
    driver,
    inputs: [],
    rows: (key, row) => [...of(row)].map((rejection, i) => [`${name} ${key} ${i}`, rejection]),
  })

const NONE: readonly string[] = []
