/** What there is on this host that bridge rows follow from. */
import { InputTable } from '../core/table.ts'

/** A bridge. Key: its name. */
export interface Bridge {
  readonly name: string
  /** Canonical, with the length of the prefix that is taken to be on its link. */
  readonly addresses: readonly string[]
  /** Something is on it. */
  readonly isUsed: boolean
  /** This kernel shows netfilter what is bridged, where it is told to. */
  readonly isFiltered: boolean
}

/** An IPv6 address that a route of its own leads to, not by a router. Key: the address. */
export interface HostRoute {
  readonly ip: string
}

export const createBridges = (): InputTable<Bridge> =>
  new InputTable<Bridge>('bridges', { indexes: { all: () => [''] } })
export const createRoutes = (): InputTable<HostRoute> => new InputTable<HostRoute>('routes of pods')
