/** How objects end: at once, after a grace period, or when nothing holds them any more. */
import type { ApiObject } from './object.ts'

export interface DeleteOptions {
  /** Pods only; 0 removes at once (the kubelet's last word). Default: the pod's own. */
  readonly graceSeconds?: number
  readonly propagation?: 'Background' | 'Foreground' | 'Orphan'
  readonly uid?: string
}

/** Finalizers keep an object; those of a namespace are in its spec. */
export function isHeld(object: ApiObject): boolean {
  const inSpec: unknown[] = object.kind === 'Namespace' ? (object['spec']?.finalizers ?? []) : []
  return (object.metadata.finalizers?.length ?? 0) + inSpec.length > 0
}

/**
 * Seconds that an object still has when it is deleted. Only pods end gracefully, and only those that a node runs
 * (k8s.io/kubernetes/pkg/registry/core/pod/strategy.go, CheckGracefulDelete).
 */
export function graceOf(object: ApiObject, wantedSeconds: number | undefined): number {
  if (object.kind !== 'Pod') return 0
  const isOver = object['status']?.phase === 'Succeeded' || object['status']?.phase === 'Failed'
  if (!object['spec']?.nodeName || isOver) return 0
  const seconds = wantedSeconds ?? object['spec'].terminationGracePeriodSeconds ?? GRACE_SECONDS
  // A second request can only shorten it.
  return Math.max(0, Math.min(seconds, object.metadata.deletionGracePeriodSeconds ?? Infinity))
}

const GRACE_SECONDS = 30
