import type { Key } from '../core/delta.ts'
import { InputTable } from '../core/table.ts'
import { hearKernel } from './events.ts'

/** An address of an interface of this host, canonical. */
export interface HostAddress {
  readonly ip: string
}

/** Index: `all` (''). One row for each interface and prefix that has the address. */
export const createAddressTable = (): InputTable<HostAddress> =>
  new InputTable<HostAddress>('addresses', { indexes: { all: () => [''] } })

/**
 * Keeps the table equal to what the interfaces have, until the signal aborts. Synced once they were listed. While nothing
 * is heard the rows stay as they are; then they are listed again. At most ADDRESSES_MAX rows; `onProblem` is told of more.
 */
export function followAddresses(
  table: InputTable<HostAddress>,
  { signal, onProblem }: { readonly signal: AbortSignal; readonly onProblem: (problem: string) => void },
): Promise<void> {
  /** What was listed so far; null: the list is complete. */
  let listed: Map<Key, HostAddress> | null = new Map()
  const hear = (event: MonitorEvent): void => {
    if (event.event === 'ready') {
      table.replace(listed ?? [])
      table.markSynced()
      listed = null
      return
    }
    if (event.event !== 'address') return
    const key = `${event.index} ${event.address}/${event.prefixLength}`
    const rows = listed ?? table
    if (event.op === 'delete') drop(rows, key)
    else if (rows.has(key)) return
    else if (rows.size < ADDRESSES_MAX) put(rows, key, { ip: event.address })
    else onProblem(`this host has more than ${ADDRESSES_MAX} addresses; ${event.address} is left out`)
  }
  return hearKernel({
    flags: ['--address', '--list'],
    signal,
    onEvent: (event) => hear(event as MonitorEvent),
    onEnd: (why) => {
      listed = new Map()
      onProblem(`addresses are not followed for a moment: ${why}`)
    },
  })
}

type Rows = Map<Key, HostAddress> | InputTable<HostAddress>

const drop = (rows: Rows, key: Key): void => void (rows instanceof InputTable ? rows.drop(key) : rows.delete(key))
const put = (rows: Rows, key: Key, row: HostAddress): void =>
  void (rows instanceof InputTable ? rows.put(key, row) : rows.set(key, row))

type MonitorEvent =
  | {
      readonly event: 'address'
      readonly op: 'new' | 'delete'
      readonly index: number
      readonly address: string
      readonly prefixLength: number
    }
  | { readonly event: 'ready' }

const ADDRESSES_MAX = 1024
