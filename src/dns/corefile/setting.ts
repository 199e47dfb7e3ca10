import { createHash } from 'node:crypto'
import { isAbsolute, join } from 'node:path/posix'
import { clientsOf } from '../clients.ts'
import type { Access } from './access.ts'
import type { KubernetesSet, Reload, Source } from './configuration.ts'
import type { Token } from './lexer.ts'
import type { Problems } from './problem.ts'
import type { Statement } from './statement.ts'
import type { Step } from './step.ts'

/** Where a plugin's directives stand: all that a parser of them may look at, and where it leaves what is no step. */
export interface Setting {
  readonly problems: Problems
  /** What is ignored, and harmless. */
  readonly warnings: Problems
  readonly access: Access
  /** Of the server block's keys. */
  readonly zones: readonly string[]
  /** What `root` says; empty without it. */
  readonly root: string
  readonly sets: Sets
}

/** Directives of one plugin in one server block, at least one, in the order of the file. Null, or fewer: said what is wrong. */
export type Parse = (directives: readonly Statement[], setting: Setting) => readonly Step[] | Step | null

/**
 * Of all server blocks: what rows of names are made of. Equal ones are one. A set is called by what it stands for, so that
 * rows of one Corefile never answer for another: while one takes the place of the other, both are there.
 */
export class Sets {
  readonly kubernetes: KubernetesSet[] = []
  readonly sources: Source[] = []
  reload: Reload | null = null

  addKubernetes(options: Omit<KubernetesSet, 'set'>): string {
    const set = setName('k', options)
    if (!this.kubernetes.some((it) => it.set === set)) this.kubernetes.push({ set, ...options })
    return set
  }

  /** Of the set with this name: that its clients are asked for, with these labels of theirs. Returns the name of their set. */
  addClients(set: string, labels: readonly string[] = []): string {
    const at = this.kubernetes.findIndex((it) => it.set === set)
    const found = this.kubernetes[at]!
    const clients = [...new Set([...(found.options.clients ?? []), ...labels])].sort()
    this.kubernetes[at] = { ...found, options: { ...found.options, clients } }
    return clientsOf(set)
  }

  addSource(source: Omit<Source, 'set'>): string {
    const set = setName(source.kind === 'hosts' ? 'h' : 'f', source)
    if (!this.sources.some((it) => it.set === set)) this.sources.push({ set, ...source })
    return set
  }
}

const setName = (letter: string, what: object): string =>
  letter + createHash('sha256').update(JSON.stringify(what)).digest('hex').slice(0, DIGITS)

/** The path of a file that a directive names: relative ones are below `root`, else below the folder of the process. */
export const pathOf = (token: Token, { root }: Setting): string =>
  isAbsolute(token.text) || root === '' ? token.text : join(root, token.text)

/** 48 bits: a Corefile has a handful of sets. */
const DIGITS = 12
