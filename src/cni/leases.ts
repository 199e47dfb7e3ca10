import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseAddress } from '../cluster/address.ts'
import { InputTable } from '../core/table.ts'
import type { Lease } from './rows.ts'

export const createLeases = (): InputTable<Lease> => new InputTable<Lease>('leases', { indexes: { all: () => [''] } })

/** Reads what the plugin host-local has given out: a file an address, named so. No folder: nothing yet. */
export async function readLeases(table: InputTable<Lease>, dataDir: string, network: string): Promise<void> {
  const names = await readdir(join(dataDir, network)).catch(() => [])
  const ips = names.flatMap((name) => parseAddress(name) ?? []).slice(0, LEASES_MAX)
  table.replace(ips.map((ip) => [ip, { ip }]))
  table.markSynced()
}

/** Where the plugin keeps them unless told otherwise. */
export const DATA_DIR = '/var/lib/cni/networks'
const LEASES_MAX = 10_000
