/** What the outside gives: Secrets, and Leases of the controllers beside this one. */

export interface StoredSecret {
  /** namespace/name. */
  readonly path: string
  readonly type: string
  readonly labels: Readonly<{ [name in string]: string }>
  readonly annotations: Readonly<{ [name in string]: string }>
  /** Decoded, UTF-8. */
  readonly data: Readonly<{ [key in string]: string }>
  /** Of who read it; '': it is to be made. */
  readonly version: string
}

/** Each rejects with a StoreError. */
export interface Secrets {
  get(path: string, signal: AbortSignal): Promise<StoredSecret | null>
  /** Gives it as it is now; null: somebody changed (or made) it since `version`, nothing was written. */
  put(secret: StoredSecret, signal: AbortSignal): Promise<StoredSecret | null>
  drop(path: string, signal: AbortSignal): Promise<void>
  /** Those of a namespace with a label. */
  list(namespace: string, label: string, value: string, signal: AbortSignal): Promise<readonly StoredSecret[]>
}

/** A controller that answers challenges, by its Lease. */
export interface Replica {
  readonly name: string
  /** It renewed its Lease lately. */
  readonly isLive: boolean
  /** What it has in place: the revision of answers. */
  readonly revision: string | null
  /** Where its proxy is reached; null: it does not say. */
  readonly address: string | null
}

export interface Replicas {
  list(signal: AbortSignal): Promise<readonly Replica[]>
}

/** Of the Secrets and Leases that are ours: `order`, `account`, `answers`, `replica`. */
export const LABEL = 'fairlead.io/acme'
