/**
 * Which lists of the API are maps in disguise, so that a patch or a second apply changes one item and keeps the others
 * (patchMergeKey in k8s.io/api). Unlike there, ports are told apart by protocol too: 53/TCP and 53/UDP are two ports.
 */
import { isObject, textOf } from './object.ts'

/** The key of an item within the list `field` of an object of this kind; null: the list is replaced as a whole. */
export function itemKey(kind: string, field: string, item: unknown): string | null {
  if (!isObject(item)) return null
  if (field === 'ports') {
    const port = kind === 'Service' ? item['port'] : item['containerPort']
    return port === undefined ? null : `${textOf(port)}/${textOf(item['protocol'] ?? 'TCP')}`
  }
  const by = KEYS[field]
  const value = by === undefined ? undefined : item[by]
  return value === undefined ? null : textOf(value)
}

/** True when every item of a non-empty list has a key. */
export function isKeyed(kind: string, field: string, list: readonly unknown[]): boolean {
  return list.length > 0 && list.every((item) => itemKey(kind, field, item) !== null)
}

/** Lists of plain values that are sets. */
export function isSet(field: string): boolean {
  return field === 'finalizers'
}

const KEYS: Readonly<Record<string, string>> = {
  containers: 'name',
  initContainers: 'name',
  ephemeralContainers: 'name',
  env: 'name',
  volumes: 'name',
  volumeMounts: 'mountPath',
  volumeDevices: 'devicePath',
  imagePullSecrets: 'name',
  secrets: 'name',
  hostAliases: 'ip',
  conditions: 'type',
  addresses: 'type',
  ownerReferences: 'uid',
  topologySpreadConstraints: 'topologyKey',
}
