import type { Selector } from '../../cluster/selector.ts'
import type { NameOptions } from '../options.ts'
import type { Problem } from './problem.ts'
import type { FileRow } from './record.ts'
import type { ServerRow as Server } from './step.ts'

/** A row of table `servers`. */
export type { Server }

/** What a Corefile says, once all of it can be used. */
export interface Configuration {
  /** One for each server block; several where its zones have different ports or transports. */
  readonly servers: readonly Server[]
  readonly kubernetes: readonly KubernetesSet[]
  /** What `hosts` and `file` answer: one set each. */
  readonly sources: readonly Source[]
  /** Of the sources, as they are now. */
  readonly names: readonly FileRow[]
  /** Absent: the Corefile is not looked at again. */
  readonly reload: Reload | null
  /** SHA-512 of the Corefile with all imports and variables in place: hexadecimal. */
  readonly digest: string
  /** What is ignored and harmless, and lines of hosts files that cannot be used. */
  readonly warnings: readonly Problem[]
}

/** What a `kubernetes` directive says about the rows of its set. Equal directives share one. */
export interface KubernetesSet {
  readonly set: string
  /** Where it is asked (`addresses`) is not in a Corefile. */
  readonly options: Omit<NameOptions, 'set'>
  /** Of Services, EndpointSlices and Pods: only those with such labels. */
  readonly labels: Selector | null
  /** How the API server is reached; null is as the process would otherwise. */
  readonly api: KubernetesApi | null
}

export type KubernetesApi =
  | { readonly kubeconfig: string; readonly context: string | null }
  | {
      readonly endpoint: string
      readonly tls: { readonly certificate: string; readonly key: string; readonly ca: string } | null
    }

/** A file of records, and lines of the Corefile itself. */
export interface Source {
  readonly set: string
  readonly kind: 'hosts' | 'file'
  readonly path: string
  /** `hosts`: only names of these. `file`: the zones that it is read for, one after the other. */
  readonly zones: readonly string[]
  /** How often it is looked at again; 0 is never. */
  readonly reloadMs: number
  /** `hosts`: PTR records as well. */
  readonly reverse: boolean
  /** `hosts`: lines that are in the Corefile. */
  readonly inline: readonly InlineHosts[]
}

export interface InlineHosts {
  readonly address: string
  readonly names: readonly string[]
}

export interface Reload {
  readonly intervalMs: number
  readonly jitterMs: number
}
