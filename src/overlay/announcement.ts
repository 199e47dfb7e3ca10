/** What this node's object is to say of its end of the overlay, so that peers find it: ours and flannel's. */
import type { Node } from '../cluster/node.ts'
import type { Key } from '../core/delta.ts'
import { writeAnnotations } from './annotations.ts'
import type { Here } from './here.ts'
import type { OverlayOptions } from './options.ts'

export type AnnouncementRow =
  /** There while the object says something else: what it shall say. */
  | { readonly kind: 'annotations'; readonly node: string; readonly annotations: Readonly<Record<string, string>> }
  /** Pods may be scheduled here: NetworkUnavailable is False. Some clouds make new nodes with True. */
  | { readonly kind: 'condition'; readonly node: string }

export function* announcementsOf(
  node: Node,
  ends: readonly (Here & { readonly mac: string })[],
  { vni }: OverlayOptions,
): Iterable<[Key, AnnouncementRow]> {
  if (ends.length === 0) return
  const wanted = writeAnnotations(
    node,
    ends.map(({ family, address, mac }) => ({ family, address, mac, vni })),
  )
  const missing = [...wanted].filter(([key, value]) => node.annotations.get(key) !== value)
  const annotations = Object.fromEntries(missing)
  if (missing.length > 0) yield [`Node ${node.name} annotations`, { kind: 'annotations', node: node.name, annotations }]
  yield [`Node ${node.name} condition`, { kind: 'condition', node: node.name }]
}
