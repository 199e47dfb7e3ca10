/** Carries differences out: devices and addresses first, for what they carry comes and goes with them. */
import type { Key, Refused } from '../../core/delta.ts'
import { runBatch, runUntilFailure } from '../../kernel/ip.ts'
import { keyOf } from '../rows.ts'
import { dropCommand, PUT_ORDER, putCommand, TOOLS, type Entry } from './commands.ts'
import type { Differences } from './differences.ts'

/** True when devices or addresses differ: then `carryDevices` comes first, and the rest is looked at anew. */
export const hasDevices = ({ devices, strays, put, drop }: Differences): boolean =>
  devices.length + strays.length > 0 || [...put, ...drop].some(({ kind }) => kind === 'address')

export async function carryDevices(work: Differences, signal: AbortSignal): Promise<readonly Refused[]> {
  const strays = work.strays.map((name) => `link delete dev ${name}`)
  await runBatch('ip', strays, signal)
  const refused = [...(await makeDevices(work, signal))]
  const barred = new Set(refused.map(({ key }) => key))
  const kind = 'address'
  const put = work.put.filter((row) => row.kind === kind && !barred.has(`device ${row.device}`))
  refused.push(...(await putEntries(kind, put, signal, isDeviceGone)))
  // After the new ones: with a device's last address go all routes and neighbours of the family.
  await dropEntries(kind, work.drop, signal)
  return refused
}

/**
 * As flannel: a route comes last and goes first, so that no packet is routed to nowhere. `isLost`: which failures mean that
 * all is to be looked at again.
 */
export async function carryEntries(
  work: Differences,
  signal: AbortSignal,
  isLost: (reason: string, row: Entry) => boolean,
): Promise<readonly Refused[]> {
  const refused: Refused[] = []
  const kinds = PUT_ORDER.filter((kind) => kind !== 'address')
  for (const kind of kinds.toReversed()) await dropEntries(kind, work.drop, signal)
  const [route, ...below] = kinds.toReversed()
  const put = (kind: Entry['kind']): Promise<readonly Refused[]> => putEntries(kind, work.put, signal, isLost)
  refused.push(...(await settled(below.map(put))).flat(), ...(await put(route!)))
  // What is there instead is not what the rows say.
  const instead = refused.flatMap(({ key }) => work.was.get(key) ?? [])
  for (const kind of kinds.toReversed()) await dropEntries(kind, instead, signal)
  return refused
}

/** Throws only once all have ended. */
async function settled<T>(all: readonly Promise<T>[]): Promise<readonly T[]> {
  await Promise.allSettled(all)
  return Promise.all(all)
}

/** What was to be deleted, or to be built upon, is not there. */
export const isGone = (reason: string): boolean =>
  /No such|Cannot find device|Cannot assign requested address/.test(reason)

/** Somebody deleted the device in this moment. An interface that is not ours may stay away. */
export const isDeviceGone = (reason: string, row: Entry): boolean =>
  /Cannot find device/.test(reason) && (row.kind !== 'route' || row.onlink)

async function dropEntries(kind: Entry['kind'], all: readonly Entry[], signal: AbortSignal): Promise<void> {
  const rows = all.filter((row) => row.kind === kind)
  for (const [at, reason] of await runBatch(TOOLS[kind], rows.map(dropCommand), signal))
    if (!isGone(reason)) throw new Error(`${dropCommand(rows[at]!)}: ${reason}`)
}

async function putEntries(
  kind: Entry['kind'],
  all: readonly Entry[],
  signal: AbortSignal,
  isLost: (reason: string, row: Entry) => boolean,
): Promise<readonly Refused[]> {
  const rows = all.filter((row) => row.kind === kind).sort(byFamily)
  const failures = await runBatch(TOOLS[kind], rows.map(putCommand), signal)
  return [...failures].map(([at, said]) => {
    const reason = `${putCommand(rows[at]!)}: ${said}`
    if (isLost(said, rows[at]!)) throw new Error(reason)
    return { key: keyOf(rows[at]!), reason, remedy: REMEDY }
  })
}

/** After an `add` that failed, the next commands would be done to somebody else's device. */
async function makeDevices({ devices }: Differences, signal: AbortSignal): Promise<readonly Refused[]> {
  const refused: Refused[] = []
  for (const { row, commands } of devices) {
    const failed = await runUntilFailure('ip', commands, signal)
    if (failed === null) continue
    const remedy = /exists/.test(failed.reason) ? TWICE : REMEDY
    refused.push({ key: `device ${row.name}`, reason: `${failed.command}: ${failed.reason}`, remedy })
  }
  return refused
}

/** Rows of devices that are refused are not tried. */
export function withoutDevices(work: Differences, refused: readonly { readonly key: Key }[]): Differences {
  const barred = new Set(refused.map(({ key }) => key))
  const isAllowed = (row: Entry): boolean => !barred.has(`device ${row.device}`) && !barred.has(keyOf(row))
  return { ...work, put: work.put.filter(isAllowed) }
}

/** IPv4 first: where the kernel has no IPv6, all of one half is refused. */
const byFamily = (a: Entry, b: Entry): number => Number(isSix(a)) - Number(isSix(b))
const isSix = (row: Entry): boolean => ('ip' in row ? row.ip : row.to).includes(':')

const REMEDY = 'see what the kernel said; it is tried again when it changes, and with each repair'
const TWICE =
  'another VXLAN device has this VNI and port (ip -d link show type vxlan): delete it, or name it with --overlay-device'
