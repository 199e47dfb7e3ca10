import type { Delta, Drift, Key, Refused, Target } from '../../core/delta.ts'
import { same } from '../../core/same.ts'
import { runBatch } from '../../kernel/ip.ts'
import { checksumOffload, computeChecksums, type Checksums } from '../../kernel/offload.ts'
import { keyOf, type Device, type OverlayRow } from '../rows.ts'
import { deviceCommands, dropCommand, PUT_ORDER, putCommand, TOOLS, type Entry } from './commands.ts'
import { Awaited, type KernelEvent } from './awaited.ts'
import { isMarked, listOverlay, MARK, type Link, type Listing } from './listing.ts'

/**
 * Makes devices, neighbours, forwarding entries and routes equal to the rows. What is on our devices is ours, and routes
 * with our number elsewhere; nothing else is touched. A device that is there under our name with the same VNI and port is
 * taken over as it is; one of another kind is somebody else's.
 */
export class NetlinkTarget implements Target<OverlayRow> {
  readonly name = 'netlink'
  readonly #rows = new Map<Key, OverlayRow>()
  readonly #awaited = new Awaited(this.#rows)
  /** Devices that could not be made, and why. */
  #barred = ''
  /** What the kernel would not take is no drift: it would be tried again for ever. */
  readonly #refused = new Set<Key>()
  readonly #checksums: Checksums

  constructor(checksums: Checksums = checksumOffload()) {
    this.#checksums = checksums
  }

  async apply(delta: Delta<OverlayRow>, signal: AbortSignal): Promise<readonly Refused[]> {
    if (delta.from === 0) this.#rows.clear()
    for (const key of delta.drop) this.#rows.delete(key)
    for (const [key, row] of delta.put) this.#rows.set(key, row)
    this.#awaited.expect(delta)
    // What a device carries goes with it: a change of one is a matter of all its rows.
    const isWhole = delta.from === 0 || [...delta.put.keys(), ...delta.drop].some((key) => key.startsWith('device '))
    const work = isWhole ? await this.#wholeWork(signal) : entriesWork(delta)
    const refused = await carryOut(work, signal)
    if (isWhole) this.#barred = devicesOf(refused)
    if (isWhole) this.#refused.clear()
    for (const key of delta.put.keys()) this.#refused.delete(key)
    for (const { key } of refused) this.#refused.add(key)
    if (isWhole && !this.#checksums.isSound) refused.push(...(await this.#compute(refused, signal)))
    return refused
  }

  async audit(signal: AbortSignal): Promise<Drift> {
    const listing = await this.#list(signal)
    const { devices, put, drop, strays, refused } = differences(this.#rows, listing)
    const wrong = [
      ...(devicesOf(refused) === this.#barred ? [] : refused.map(({ key }) => `${key}, which is somebody else's`)),
      ...devices.flatMap(({ row, commands }) => (commands.length > 0 ? [`device ${row.name}`] : [])),
      ...put.map(keyOf).filter((key) => !this.#refused.has(key)),
      ...drop.map((row) => `${keyOf(row)}, which should not be there`),
      ...strays.map((name) => `device ${name}, which should not be there`),
    ]
    return wrong.length === 0 ? { clean: true } : { clean: false, detail: summary(wrong) }
  }

  /** Devices that we made or took over, all on them, and our routes. */
  async cleanup(): Promise<void> {
    const { links, rows } = await listOverlay([])
    const devices = [...links.values()].filter(isMarked).map(({ name }) => name)
    const routes = [...rows.values()].filter(({ kind, device }) => kind === 'route' && !devices.includes(device))
    const commands = [...routes.map(dropCommand), ...devices.map((name) => `link delete dev ${name}`)]
    const failures = await runBatch('ip', commands)
    for (const [at, reason] of failures)
      if (!isGone(reason)) throw new Error(`cannot remove the overlay: ${commands[at]}: ${reason}`)
  }

  /** True when this may be something of ours that somebody changed: an audit tells. */
  concerns(event: KernelEvent): boolean {
    // What was in the way of a device of ours may have gone.
    return this.#awaited.concerns(event) || (this.#barred !== '' && event.event === 'link')
  }

  async #compute(barred: readonly Refused[], signal: AbortSignal): Promise<Refused[]> {
    const refused: Refused[] = []
    for (const [key, row] of this.#rows) {
      if (row.kind !== 'device' || barred.some((each) => each.key === key)) continue
      const reason = await computeChecksums(row.name, signal)
      if (reason !== null) refused.push({ key, reason, remedy: CHECKSUMS })
    }
    return refused
  }

  async #wholeWork(signal: AbortSignal): Promise<Work> {
    return { ...differences(this.#rows, await this.#list(signal)), isWhole: true }
  }

  async #list(signal: AbortSignal): Promise<Listing> {
    const names = [...this.#rows.values()].flatMap((row) => (row.kind === 'device' ? [row.name] : []))
    const listing = await listOverlay(names, signal)
    this.#awaited.know(listing.links.values())
    return listing
  }
}

interface Work {
  readonly devices: readonly { readonly row: Device; readonly commands: readonly string[] }[]
  readonly put: readonly Entry[]
  readonly drop: readonly Entry[]
  readonly refused: readonly Refused[]
  /** Devices that are ours and not wanted any more are in no row. */
  readonly strays: readonly string[]
  readonly isWhole: boolean
}

function entriesWork({ put, drop, was }: Delta<OverlayRow>): Work {
  const entries = (rows: Iterable<OverlayRow>) => [...rows].filter((row) => row.kind !== 'device')
  const gone = entries([...drop].flatMap((key) => was.get(key) ?? []))
  // A route that moves to another device is another route to the kernel where both have one metric.
  const moved = entries(put.values()).filter((row) => {
    const before = was.get(keyOf(row))
    return row.kind === 'route' && before?.kind === 'route' && before.device !== row.device
  })
  const left = moved.map((row) => was.get(keyOf(row)) as Entry)
  return { devices: [], put: entries(put.values()), drop: [...gone, ...left], refused: [], strays: [], isWhole: false }
}

/** What is to be done, against what is there. */
function differences(rows: ReadonlyMap<Key, OverlayRow>, listing: Listing): Omit<Work, 'isWhole'> {
  const devices: { row: Device; commands: readonly string[] }[] = []
  const refused: Refused[] = []
  /** Devices whose entries are not there (any more), or cannot be. */
  const [bare, barred] = [new Set<string>(), new Set<string>()]
  for (const row of rows.values()) {
    if (row.kind !== 'device') continue
    const link = listing.links.get(row.name)
    if (link !== undefined && !isOurs(link, row)) {
      refused.push(notOurs(row, link))
      barred.add(row.name)
      continue
    }
    const commands = deviceCommands(row, link, MARK)
    if (commands.some((command) => command.startsWith('link add'))) bare.add(row.name)
    devices.push({ row, commands })
  }
  const put: Entry[] = []
  for (const [key, row] of rows) {
    if (row.kind === 'device' || barred.has(row.device)) continue
    const held = listing.rows.get(key)
    if (bare.has(row.device) || !same(held, row) || listing.unnumbered.has(key)) put.push(row)
  }
  const drop = [...listing.rows].filter(([key, row]) => {
    const wanted = rows.get(key)
    if (bare.has(row.device) || barred.has(row.device)) return false
    return wanted === undefined || (wanted.kind === 'route' && wanted.device !== row.device)
  })
  const strays = [...listing.links.values()].filter((link) => isMarked(link) && !rows.has(`device ${link.name}`))
  return {
    ...{ devices, put, refused, drop: drop.map(([, row]) => row) },
    strays: strays.map(({ name }) => name),
  }
}

/** Ours by our note, whatever it is set to; without it, flannel's or one made by hand, if it can be used as it is. */
const isOurs = (link: Link, { vni, port }: Device): boolean =>
  isMarked(link) || (link.kind === 'vxlan' && link.vni === vni && link.port === port)

function notOurs({ name, vni, port }: Device, link: Link): Refused {
  const what =
    link.kind === 'vxlan' ? `a VXLAN device with VNI ${link.vni}, port ${link.port}` : `a ${link.kind} device`
  return {
    key: `device ${name}`,
    reason: `${name} is there, ${what} and not one with VNI ${vni}, port ${port}: pods elsewhere are not reached`,
    remedy: `if nobody needs it: ip link delete ${name}; else choose another --overlay-device, or its VNI and port`,
  }
}

/** Old before new: an address may go from one thing to another. Throws when nothing more can be said. */
async function carryOut(work: Work, signal: AbortSignal): Promise<Refused[]> {
  const refused = new Map<Key, Refused>(work.refused.map((each) => [each.key, each]))
  for (const kind of PUT_ORDER.toReversed()) {
    const rows = work.drop.filter((row) => row.kind === kind)
    for (const [at, reason] of await runBatch(TOOLS[kind], rows.map(dropCommand), signal))
      if (!isGone(reason)) throw new Error(`${dropCommand(rows[at]!)}: ${reason}`)
  }
  await runBatch(
    'ip',
    work.strays.map((name) => `link delete dev ${name}`),
    signal,
  )
  const failed = await makeDevices(work, signal)
  for (const one of failed) refused.set(one.key, one)
  for (const kind of PUT_ORDER) {
    const rows = work.put.filter((row) => row.kind === kind && !refused.has(`device ${row.device}`)).sort(byFamily)
    for (const [at, reason] of await runBatch(TOOLS[kind], rows.map(putCommand), signal)) {
      // Somebody deleted the device in this moment: a whole load makes it again. What else is missing may stay so.
      const isLost = work.isWhole ? /Cannot find device/.test(reason) && !isDirect(rows[at]!) : isGone(reason)
      if (isLost) throw new Error(`${putCommand(rows[at]!)}: ${reason}`)
      const key = keyOf(rows[at]!)
      refused.set(key, { key, reason: `${putCommand(rows[at]!)}: ${reason}`, remedy: REMEDY })
    }
  }
  return [...refused.values()]
}

/** One command at a time: after an `add` that failed, the next ones would be done to somebody else's device. */
async function makeDevices({ devices }: Work, signal: AbortSignal): Promise<readonly Refused[]> {
  const refused: Refused[] = []
  for (const { row, commands } of devices) {
    for (const command of commands) {
      const reason = (await runBatch('ip', [command], signal)).get(0)
      if (reason === undefined) continue
      const remedy = /exists/.test(reason) ? TWICE : REMEDY
      refused.push({ key: `device ${row.name}`, reason: `${command}: ${reason}`, remedy })
      break
    }
  }
  return refused
}

/** IPv4 first: where the kernel has no IPv6, all of one half is refused. */
const byFamily = (a: Entry, b: Entry): number => Number(isSix(a)) - Number(isSix(b))
const isSix = (row: Entry): boolean => ('ip' in row ? row.ip : row.to).includes(':')

const isDirect = (row: Entry): boolean => row.kind === 'route' && !row.onlink

/** What was to be deleted, or to be built upon, is not there. */
const isGone = (reason: string): boolean => /No such|Cannot find device|Cannot assign requested address/.test(reason)

const devicesOf = (refused: readonly Refused[]): string =>
  refused
    .filter(({ key }) => key.startsWith('device '))
    .map(({ key, reason }) => `${key} ${reason}`)
    .sort()
    .join()

function summary(wrong: readonly string[]): string {
  const more = wrong.length - SHOWN_MAX
  return wrong.slice(0, SHOWN_MAX).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

const SHOWN_MAX = 5
const CHECKSUMS = 'this kernel sends packets with wrong checksums by VXLAN: install ethtool, or run Linux 5.7 or newer'
const REMEDY = 'see what the kernel said; it is tried again when it changes, and with each repair'
const TWICE =
  'another VXLAN device has this VNI and port (ip -d link show type vxlan): delete it, or name it with --overlay-device'
