/** Looks at Ingresses as the controller would, all that they name supposed to be there. */
import { parseConfigMap } from '../cluster/configmap.ts'
import type { Manifest } from '../cluster/manifest.ts'
import { identity } from '../cluster/metadata.ts'
import { isRecord, type Raw } from '../cluster/raw.ts'
import { createInlets, createTables, type Tables } from '../cluster/tables.ts'
import { Graph } from '../core/graph.ts'
import { InputTable } from '../core/table.ts'
import { parseAnnotations, PREFIX } from '../ingress/annotations/all.ts'
import { deriveProxying, type Proxying } from '../ingress/derive.ts'
import { DEFAULT_OPTIONS } from '../ingress/options.ts'
import type { Verdict } from '../ingress/reader.ts'
import type { SecretRow } from '../ingress/rows.ts'
import { parseSettings } from '../ingress/settings.ts'
import { supposedConfigMap, supposedSecrets, supposedServices } from '../ingress/supposed.ts'

export interface Finding {
  readonly verdict: Verdict['verdict']
  /** Name of an annotation or key, or path of a field. */
  readonly what: string
  /** '' where there is nothing to say. */
  readonly reason: string
}

export interface Report {
  readonly objects: readonly { readonly object: string; readonly raw: Raw; readonly findings: readonly Finding[] }[]
  readonly honoured: number
  readonly changed: number
  readonly refused: number
}

/** `configMap`: `namespace/name` of the settings; null: the defaults. */
export function lint(manifests: readonly Manifest[], configMap: string | null): Report {
  const found = [
    ...settingsOf(manifests, configMap),
    ...rounds(manifests).flatMap((round) => lintRound(round, configMap)),
  ]
  const order = new Map(manifests.map(({ object }, i) => [object, i]))
  const objects = found.sort((a, b) => order.get(a.raw)! - order.get(b.raw)!)
  const count = (verdict: Verdict['verdict']): number =>
    objects.reduce((sum, { findings }) => sum + findings.filter((each) => each.verdict === verdict).length, 0)
  return { objects, honoured: count('honoured'), changed: count('changed'), refused: count('refused') }
}

function settingsOf(manifests: readonly Manifest[], configMap: string | null): Linted[] {
  const raw = manifests.find(
    ({ object }) => object['kind'] === 'ConfigMap' && identity(object, true) === configMap,
  )?.object
  const row = raw === undefined ? null : parseConfigMap(raw).row
  if (raw === undefined || row === null) return []
  return [{ object: `ConfigMap ${configMap}`, raw, findings: parseSettings(row, true).verdicts.map(findingOf) }]
}

type Linted = Report['objects'][number]

/** Ingresses of one name (of different examples, say) are looked at one after the other, each with all else. */
function rounds(manifests: readonly Manifest[]): readonly (readonly Manifest[])[] {
  const others = manifests.filter(({ object }) => object['kind'] !== 'Ingress')
  const found: Manifest[][] = [[]]
  const times = new Map<string, number>()
  for (const manifest of manifests) {
    if (manifest.object['kind'] !== 'Ingress') continue
    const key = identity(manifest.object, true)
    const time = times.get(key) ?? 0
    times.set(key, time + 1)
    ;(found[time] ??= []).push(manifest)
  }
  return found.map((round) => [...others, ...round])
}

function lintRound(manifests: readonly Manifest[], configMap: string | null): Linted[] {
  const { tables, proxying } = look(manifests, configMap)
  const found = configMap === null ? undefined : tables.configMaps.get(configMap)
  const parsed = parseSettings(found ?? null, true)
  return manifests.flatMap(({ object: raw }): Linted[] => {
    const kind = raw['kind']
    const key = identity(raw, true)
    if (kind !== 'Ingress') return []
    const ingress = tables.ingresses.get(key)
    const verdicts = ingress === undefined ? [] : parseAnnotations(ingress, parsed.settings).verdicts
    const object = ingress === undefined ? 'Ingress' : `Ingress ${key}`
    const findings = [...verdicts.map(findingOf), ...leftToOthers(raw), ...complaints(object, tables, proxying)]
    return [{ object, raw, findings }]
  })
}

/** Everything derived, twice: what is not there is supposed once it is known what that is. */
function look(
  manifests: readonly Manifest[],
  configMap: string | null,
): { readonly tables: Tables; readonly proxying: Proxying } {
  const tables = createTables()
  const inlets = createInlets(tables)
  for (const inlet of Object.values(inlets)) {
    for (const { object } of manifests) if (object['kind'] === inlet.kind.kind) inlet.put(object)
    inlet.synced()
  }
  // Whatever their class: they were given to be looked at.
  for (const [key, row] of tables.ingresses.entries())
    tables.ingresses.put(key, { ...row, className: null, classAnnotation: null })
  const graph = new Graph()
  const spare = new InputTable<SecretRow>('spare')
  spare.markSynced()
  const now = new InputTable<number>('now')
  now.put('', Date.now())
  now.markSynced()
  const options = { ...DEFAULT_OPTIONS, watchWithoutClass: true, passthrough: true, configMap }
  const proxying = deriveProxying(graph, { ...tables, spare, now }, options)
  graph.settle()
  const plans = [...proxying.plans.entries()].map(([, plan]) => plan)
  for (const row of supposedServices(plans)) suppose(tables.services, row)
  for (const row of supposedSecrets(plans)) suppose(tables.secrets, row)
  for (const [, { kind, namespace, name }] of proxying.references.entries())
    if (kind === 'ConfigMap' && `${namespace}/${name}` !== configMap)
      suppose(tables.configMaps, supposedConfigMap(`${namespace}/${name}`))
  graph.settle()
  return { tables, proxying }
}

function suppose<Row extends { readonly namespace: string; readonly name: string }>(
  table: InputTable<Row>,
  row: Row,
): void {
  const key = `${row.namespace}/${row.name}`
  if (!table.has(key)) table.put(key, row)
}

const findingOf = ({ name, verdict, reason }: Verdict): Finding => ({ verdict, what: name, reason })

/** What verdicts have not said. */
function complaints(object: string, tables: Tables, proxying: Proxying): Finding[] {
  const all = [...tables.rejections.entries(), ...proxying.rejections.entries()].map(([, rejection]) => rejection)
  return all
    .filter(
      (each) =>
        (each.object === object || (object === 'Ingress' && each.object.startsWith('Ingress (no'))) &&
        !each.field.includes(PREFIX) &&
        !each.field.startsWith('data['),
    )
    .map(({ field, problem, remedy }) => ({ verdict: 'refused', what: field, reason: `${problem}: ${remedy}` }))
}

/** Who issues certificates reads these, not who shows them. */
function leftToOthers(raw: Raw): Finding[] {
  const metadata = isRecord(raw['metadata']) ? raw['metadata'] : {}
  return Object.keys(isRecord(metadata['annotations']) ? metadata['annotations'] : {})
    .filter((name) => name === 'kubernetes.io/tls-acme' || /^(acme\.)?cert-manager\.io\//.test(name))
    .map((what) => ({
      verdict: 'changed',
      what,
      reason: 'left to cert-manager, unless the controller runs with --acme-directory',
    }))
}
