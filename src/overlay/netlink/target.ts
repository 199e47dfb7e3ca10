import type { Delta, Drift, Key, Refused, Target } from '../../core/delta.ts'
import { HeldRows } from '../../core/held.ts'
import { runBatch } from '../../kernel/ip.ts'
import { checksumOffload, computeChecksums, type Checksums } from '../../kernel/offload.ts'
import { keyOf, type OverlayRow } from '../rows.ts'
import { Awaited, type KernelEvent } from './awaited.ts'
import { carryDevices, carryEntries, hasDevices, isDeviceGone, isGone, withoutDevices } from './carry.ts'
import { dropCommand } from './commands.ts'
import { changes, differences, isOfAll, type Differences } from './differences.ts'
import { isMarked, listLinks, listOverlay } from './listing.ts'

/**
 * Makes devices, neighbours, forwarding entries and routes equal to the rows. What is on our devices is ours, and routes
 * with our number elsewhere; nothing else is touched. A device that is there under our name with the same VNI and port is
 * taken over as it is; one of another kind is somebody else's.
 */
export class NetlinkTarget implements Target<OverlayRow> {
  readonly name = 'overlay'
  readonly #rows = new HeldRows<OverlayRow>()
  readonly #awaited = new Awaited(this.#rows)
  /** Devices that could not be made, and why. */
  #barred = ''
  /** What the kernel would not take is no drift: it would be tried again for ever. */
  readonly #refused = new Set<Key>()
  readonly #checksums: () => Promise<Checksums>

  /** `checksums`: asked with each device that is made. */
  constructor(checksums: () => Promise<Checksums> = () => checksumOffload()) {
    this.#checksums = checksums
  }

  async apply(delta: Delta<OverlayRow>, signal: AbortSignal): Promise<readonly Refused[]> {
    this.#rows.take(delta)
    this.#awaited.expect(delta)
    if (!isOfAll(delta)) {
      const refused = await carryEntries(changes(delta), signal, isGone)
      for (const key of delta.put.keys()) this.#refused.delete(key)
      for (const { key } of refused) this.#refused.add(key)
      return refused
    }
    const refused = await this.#applyAll(signal)
    this.#barred = devicesOf(refused)
    this.#refused.clear()
    for (const { key } of refused) this.#refused.add(key)
    const uncomputed = await this.#compute(refused, signal)
    // What a delta does not put is not its to refuse; it is no drift either way.
    return [...refused, ...uncomputed].filter(({ key }) => delta.from === 0 || delta.put.has(key))
  }

  async audit(signal: AbortSignal): Promise<Drift> {
    const { devices, put, drop, strays, refused } = await this.#compare(signal)
    const wrong = [
      ...(devicesOf(refused) === this.#barred ? [] : refused.map(({ key }) => `${key}, which is somebody else's`)),
      ...devices.map(({ row }) => `device ${row.name}`),
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

  async #applyAll(signal: AbortSignal): Promise<readonly Refused[]> {
    const first = await this.#compare(signal)
    if (!hasDevices(first)) return [...first.refused, ...(await carryEntries(first, signal, isDeviceGone))]
    const refused = [...first.refused, ...(await carryDevices(first, signal))]
    const rest = withoutDevices(first.isBare ? await this.#above(first, signal) : await this.#compare(signal), refused)
    return [...refused, ...(await carryEntries(rest, signal, isDeviceGone))]
  }

  async #compute(barred: readonly Refused[], signal: AbortSignal): Promise<Refused[]> {
    const refused: Refused[] = []
    for (const [key, row] of this.#rows) {
      if (row.kind !== 'device' || barred.some((each) => each.key === key)) continue
      if ((await this.#checksums()).isSound) break
      const reason = await computeChecksums(row.name, signal)
      if (reason !== null) refused.push({ key, reason, remedy: CHECKSUMS })
    }
    return refused
  }

  /** Where there was nothing, what devices carry is all still to come: a node that joins is not looked at twice. */
  async #above(first: Differences, signal: AbortSignal): Promise<Differences> {
    this.#awaited.know(await listLinks(this.#names, signal))
    return { ...first, devices: [], put: first.put.filter(({ kind }) => kind !== 'address') }
  }

  get #names(): readonly string[] {
    return [...this.#rows.values()].flatMap((row) => (row.kind === 'device' ? [row.name] : []))
  }

  async #compare(signal: AbortSignal): Promise<Differences> {
    const listing = await listOverlay(this.#names, signal)
    this.#awaited.know(listing.links.values())
    return differences(this.#rows, listing)
  }
}

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
