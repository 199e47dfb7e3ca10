import type { EndpointSlice } from '../cluster/endpointslice.ts'
import type { Port } from '../cluster/protocol.ts'

/** What the names of a Service or ServiceImport follow from. Holds no copy of anything. */
export interface Plan {
  readonly kind: 'Service' | 'ServiceImport'
  readonly namespace: string
  readonly name: string
  /** ExternalName: a host name without the final dot; null: another type. */
  readonly alias: string | null
  /** Of its own; null: it is headless, and its endpoints' are meant. */
  readonly addresses: readonly string[] | null
  /** Of headless ones empty: their endpoints' count. */
  readonly ports: readonly Port[]
  /** Of headless ones, by key: at least one ready endpoint. Empty for others. */
  readonly slices: readonly EndpointSlice[]
}

/** `Service shop/web`. */
export const objectOf = ({ kind, namespace, name }: Pick<Plan, 'kind' | 'namespace' | 'name'>): string =>
  `${kind} ${namespace}/${name}`

/** `web.shop.svc`. */
export const labelsOf = ({ namespace, name }: Pick<Plan, 'namespace' | 'name'>): string => `${name}.${namespace}.svc`
