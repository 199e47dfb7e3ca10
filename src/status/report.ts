/** What an agent says of itself on /statusz: the whole of `fairlead status`, of one node. JSON. */
import type { Rejection } from '../cluster/rejection.ts'
import type { Refused } from '../core/delta.ts'
import type { Connections } from './connections.ts'

export interface Report {
  readonly node: string
  /** Of Fairlead. */
  readonly version: string
  /** RFC 3339. */
  readonly startedAt: string
  /** As /healthz would answer. */
  readonly healthy: boolean
  readonly sources: readonly SourceReport[]
  readonly targets: readonly TargetReport[]
  /** All there are; `first` holds at most REPORTED_MAX of them. */
  /** Derivations that threw: bugs of ours. */
  readonly faults: { readonly count: number; readonly first: readonly string[] }
  readonly rejections: { readonly count: number; readonly first: readonly Rejection[] }
  readonly kernel: readonly KernelFeature[]
  /** null: the kernel does not tell. */
  readonly connections: Connections | null
  readonly memoryBytes: number
  /** Of an ingress controller that leads: what it orders of ACME servers. */
  readonly certificates?: { readonly count: number; readonly first: readonly CertificateReport[] }
}

export interface CertificateReport {
  /** `namespace/name`, as `ingress`. */
  readonly secret: string
  readonly ingress: string
  readonly issuer: string
  /** What is done now, or waited for, and why. */
  readonly step: string
  /** RFC 3339; null: there is none yet. */
  readonly notAfter: string | null
  readonly renewAt: string | null
}

/** One kind of object and how it is followed. */
export interface SourceReport {
  readonly kind: string
  /** `stale`: what is known was read from disk, the API server has not answered yet. */
  readonly state: 'listing' | 'watching' | 'retrying' | 'stale'
  /** RFC 3339. */
  readonly since: string
  readonly objects: number
  /** null: none since the last success. */
  readonly error: string | null
}

export interface TargetReport {
  readonly name: string
  /** Rows in its table. */
  readonly rows: number
  /** Rows it does not have yet. */
  readonly pending: number
  /** RFC 3339; null: never. */
  readonly appliedAt: string | null
  /** The last apply; null: none yet. */
  readonly last: {
    readonly put: number
    readonly drop: number
    readonly full: boolean
    readonly seconds: number
  } | null
  /** null: no audit yet. */
  readonly drift: { readonly clean: boolean; readonly detail: string } | null
  readonly repairs: number
  readonly error: string | null
  readonly refused: { readonly count: number; readonly first: readonly Refused[] }
}

/** Something of the kernel that Fairlead can use. `remedy` says what is lost without it, or how to get it. */
export interface KernelFeature {
  readonly name: string
  readonly present: boolean
  readonly remedy: string
}

export const REPORTED_MAX = 20
