/** Secrets and ConfigMaps that are named: what a controller may have to look at, and nothing else. */
import type { Reference } from '../cluster/source/kube/followed.ts'
import type { Key } from '../core/delta.ts'
import { gather } from '../core/gather.ts'
import type { Graph } from '../core/graph.ts'
import { InputTable, type Readable } from '../core/table.ts'
import { union } from '../core/union.ts'
import { usesOf } from './certificates.ts'
import type { IngressOptions } from './options.ts'
import type { Plan } from './plan.ts'
import type { ParsedSettings } from './settings.ts'

/** Key: `Secret namespace/name`. */
export function deriveReferences(
  graph: Graph,
  plans: Readable<Plan>,
  settings: Readable<ParsedSettings>,
  told: IngressOptions,
): Readable<Reference> {
  const given = new InputTable<Reference>('references of options')
  given.replace(referencesOf(told))
  given.markSynced()
  const of = <T>(
    name: string,
    driver: Readable<T>,
    references: (row: T) => readonly (readonly [Key, Reference])[],
  ): Readable<Reference> =>
    gather<Reference, T, Reference>(graph, {
      name: `references of ${name}`,
      driver,
      parts: (_, row) => references(row),
      row: (_, [first]) => first!,
    })
  return union<Reference>('references', [
    graph.input(given),
    of('settings', settings, ({ settings: { requestHeadersFrom, responseHeadersFrom, globalAuth } }) =>
      listed('ConfigMap', [requestHeadersFrom, responseHeadersFrom, globalAuth?.headersFrom ?? null]),
    ),
    of('ingresses', plans, (plan) => {
      const { access, answering } = plan.annotations
      const configMaps = listed('ConfigMap', [answering.headersFrom, access.external?.headersFrom ?? null])
      return [
        ...configMaps,
        ...listed(
          'Secret',
          usesOf(plan).map(({ path }) => path),
        ),
      ]
    }),
  ])
}

/** What the options alone name. */
export const referencesOf = ({
  configMap,
  tcpServices,
  udpServices,
  defaultCertificate,
  acme,
}: IngressOptions): [Key, Reference][] => [
  ...listed('ConfigMap', [configMap, tcpServices, udpServices]),
  ...listed('Secret', [defaultCertificate, acme?.answers ?? null]),
]

const listed = (kind: 'Secret' | 'ConfigMap', paths: readonly (string | null)[]): [Key, Reference][] =>
  [...new Set(paths)].flatMap((path): [Key, Reference][] => {
    if (path === null) return []
    const slash = path.indexOf('/')
    return [[`${kind} ${path}`, { kind, namespace: path.slice(0, slash), name: path.slice(slash + 1) }]]
  })
