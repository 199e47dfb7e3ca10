/** What a carrier held before this controller came. */
import type { Connection } from '../carrier/connection.ts'
import type { Configuration } from '../dns/corefile/configuration.ts'

/**
 * Whether a carrier serves, and lacks names that servers of this Corefile ask for: it was told by another controller, of
 * another Corefile. Waits for a connection; rejects when the signal aborts.
 */
export async function lacksNames(
  carrier: Connection,
  { kubernetes, names }: Configuration,
  signal: AbortSignal,
): Promise<boolean> {
  const needed = [...kubernetes, ...names].map(({ set }) => set)
  try {
    const { sets = {}, servers = 0 } = ((await carrier.ask('stats', signal)) as Stats).worker.says
    return servers > 0 && needed.some((set) => (sets[set]?.rows ?? 0) === 0)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof TypeError) throw error
    return true // nobody can tell: its worker has just died, or it has
  }
}

/** As native/supervisor (figures.rs) and native/dns (worker.rs) write it; a worker that is gone says nothing of this. */
interface Stats {
  readonly worker: {
    readonly says: {
      readonly sets?: Readonly<Record<string, { readonly rows: number }>>
      readonly servers?: number
    }
  }
}
