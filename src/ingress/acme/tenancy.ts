/**
 * Account, orders and answers of a namespace are those of one ingress: its controllers, who elect a leader among them. A Lease
 * says which one; another ingress that is started there orders nothing, and says so.
 */
import type { Rejection } from '../../cluster/rejection.ts'
import type { InputTable } from '../../core/table.ts'
import { lead, type LeaderOptions } from '../status/leader.ts'

export interface TenancyOptions extends Pick<LeaderOptions, 'connection' | 'namespace' | 'times' | 'now'> {
  /** Of the controllers that elect one leader: the name of the Lease that they do it with. */
  readonly election: string
  /** `Pod namespace/name`, of this process. */
  readonly object: string
  /** Holds what is wrong, while somebody else has the namespace. */
  readonly refused: InputTable<Rejection>
  /** Told at each change; resolves once it is so. */
  readonly onChange: (isOurs: boolean) => Promise<void>
  /** Once for each thing that goes wrong. */
  readonly onProblem: (problem: string, remedy: string) => void
}

export class Tenancy {
  readonly #options: TenancyOptions
  #ending: AbortController | null = null
  #running: Promise<void> = Promise.resolve()
  #changing: Promise<void> = Promise.resolve()

  constructor(options: TenancyOptions) {
    this.#options = options
  }

  /** Who leads asks for the namespace, and keeps it. Resolves once nothing is under way that should not be. */
  async lead(isLeader: boolean): Promise<void> {
    const ending = this.#ending
    if (isLeader === (ending !== null)) return this.#changing
    this.#ending = isLeader ? new AbortController() : null
    if (this.#ending !== null) {
      const next = this.#ending
      this.#running = this.#running.then(() => this.#hold(next))
      return
    }
    this.#options.refused.replace([])
    // It is let go when this one has ended what it had begun: then another may begin.
    await this.#change(false)
    ending!.abort()
    await this.#running
  }

  async #hold(ending: AbortController): Promise<void> {
    const { connection, namespace, election, onProblem, times, now, refused } = this.#options
    const isWanted = (): boolean => this.#ending === ending
    await lead({
      ...{ connection, namespace, name: LEASE, identity: election, signal: ending.signal, onProblem },
      ...(times && { times }),
      ...(now && { now }),
      onChange: (isOurs) => {
        if (isOurs) refused.replace([])
        if (isWanted() || !isOurs) void this.#change(isOurs)
      },
      onOther: (other) => {
        if (isWanted()) refused.replace([['tenancy', this.#refusal(other)]])
      },
    })
  }

  #change(isOurs: boolean): Promise<void> {
    return (this.#changing = this.#changing.then(() => this.#options.onChange(isOurs)))
  }

  #refusal(other: string): Rejection {
    const { namespace, object, election } = this.#options
    const whose = `another ingress, that of --election-id ${other}, orders certificates in namespace ${namespace}`
    return {
      object,
      field: '--acme-directory',
      problem: `${whose}; this one (${election}) orders none`,
      remedy: 'run it in a namespace of its own, or without --acme-directory',
    }
  }
}

const LEASE = 'fairlead-acme'
