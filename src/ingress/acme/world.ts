/** All that issuing certificates needs of the outside. */
import type { Clock } from '../../core/clock.ts'
import type { Directory, DirectoryOptions } from './directory.ts'
import type { Check } from './replicas.ts'
import type { Solver } from './solver.ts'
import type { Replicas, Secrets } from './store.ts'
import type { Dns, SecretKey } from './wanted.ts'

export interface World {
  /** The controller's own: accounts and records are kept there. */
  readonly namespace: string
  readonly secrets: Secrets
  readonly replicas: Replicas
  readonly check: Check
  readonly open: (options: DirectoryOptions) => Directory
  /** `read`: what is secret of the settings. */
  readonly solver: (dns: Dns, read: (key: SecretKey) => Promise<string>) => Promise<Solver>
  readonly clock: Clock
  /** 0 <= random < 1. */
  readonly random: () => number
  readonly onEvent: (event: Happening) => void
}

/** One line of the log, one count of a metric. */
export type Happening =
  | { readonly kind: 'issued'; readonly secret: string; readonly names: readonly string[]; readonly notAfter: number }
  | {
      readonly kind: 'failed'
      readonly secret: string
      /** Of the ACME server, or `unreachable`, `replica`, `store`. */
      readonly type: string
      readonly problem: string
      readonly remedy: string
      readonly retryAt: number
    }
  | { readonly kind: 'step'; readonly secret: string; readonly step: string }
