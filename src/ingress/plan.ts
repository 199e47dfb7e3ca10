/** Ingresses that this controller serves, each with what its annotations say. */
import type { ConfigMap } from '../cluster/configmap.ts'
import type { Ingress } from '../cluster/ingress.ts'
import type { IngressClass } from '../cluster/ingressclass.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { derive, type Read } from '../core/derive.ts'
import type { Key } from '../core/delta.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import { parseAnnotations, type Annotations } from './annotations/all.ts'
import type { IngressOptions } from './options.ts'
import { parseSettings, type ParsedSettings } from './settings.ts'

export interface Plan {
  /** Without what we write into it ourselves. */
  readonly ingress: Served
  readonly annotations: Annotations
  readonly rejections: readonly Rejection[]
}

export type Served = Omit<Ingress, 'published'>

export interface PlanInputs {
  /** One row, of the key ''. */
  readonly options: Readable<IngressOptions>
  readonly ingresses: Readable<Ingress>
  readonly ingressClasses: Readable<IngressClass>
  readonly configMaps: Readable<ConfigMap>
}

/** One row, of the key ''. */
export function deriveSettings(graph: Graph, { options, configMaps }: PlanInputs): Readable<ParsedSettings> {
  return derive<ParsedSettings, IngressOptions>(graph, {
    name: 'settings',
    driver: options,
    inputs: [configMaps],
    rows: (key, { configMap, passthrough }, read) => {
      const found = configMap === null ? undefined : read.get(configMaps, configMap)
      const parsed = parseSettings(found ?? null, passthrough)
      if (configMap === null || found !== undefined) return [[key, parsed]]
      return [[key, { ...parsed, rejections: [missing(configMap)] }]]
    },
  })
}

export function derivePlans(graph: Graph, inputs: PlanInputs, settings: Readable<ParsedSettings>): Readable<Plan> {
  const { options, ingresses, ingressClasses } = inputs
  return derive<Plan, Ingress>(graph, {
    name: 'served ingresses',
    driver: ingresses,
    inputs: [options, ingressClasses, settings],
    rows: (key, ingress, read) => {
      const told = read.get(options, '')
      const said = read.get(settings, '')
      if (told === undefined || said === undefined || !isServed(ingress, told, ingressClasses, read)) return []
      const { published: _, ...served } = ingress
      const { annotations, rejections } = parseAnnotations(served, said.settings)
      return [[key, { ingress: served, annotations, rejections }]]
    },
  })
}

/** ingressClassName counts before the annotation, that before the default class. */
function isServed(ingress: Ingress, options: IngressOptions, classes: Readable<IngressClass>, read: Read): boolean {
  const isOurs = (name: Key) => options.controllers.includes(read.get(classes, name)?.controller ?? '')
  if (ingress.className !== null) return isOurs(ingress.className)
  if (ingress.classAnnotation !== null) return ingress.classAnnotation === options.className
  return options.watchWithoutClass || read.keysBy(classes, 'default', '').some(isOurs)
}

/** Who is older goes first; of the same age, who has the smaller name. */
export interface Seniority {
  readonly created: number
  /** `namespace/name`. */
  readonly ingress: string
}

export const bySeniority = (a: Seniority, b: Seniority): number =>
  a.created - b.created || (a.ingress < b.ingress ? -1 : a.ingress > b.ingress ? 1 : 0)

const missing = (configMap: string): Rejection => ({
  object: `ConfigMap ${configMap}`,
  field: '',
  problem: 'does not exist; the defaults hold',
  remedy: 'create it, or start the controller without --configmap',
})
