/** The overlay of an agent: its input from the kernel, its derivations, its targets, and what wakes them. */
import { release } from 'node:os'
import type { Rejection } from '../cluster/rejection.ts'
import type { Connection } from '../cluster/source/kube.ts'
import type { Tables } from '../cluster/tables.ts'
import type { Binding } from '../core/binding.ts'
import type { Target } from '../core/delta.ts'
import type { Graph } from '../core/graph.ts'
import type { Runner } from '../core/runner.ts'
import { InputTable, type Readable } from '../core/table.ts'
import { probeChecksums } from '../kernel/checksum-probe.ts'
import { hearKernel } from '../kernel/events.ts'
import { Interfaces, type InterfaceAddress } from '../kernel/interfaces.ts'
import { checksumOffload, type Checksums } from '../kernel/offload.ts'
import { Announcer } from '../overlay/announcer.ts'
import { deriveOverlay, type OverlayTables } from '../overlay/derive.ts'
import type { Found } from '../overlay/here.ts'
import type { KernelEvent } from '../overlay/netlink/awaited.ts'
import { listDevices } from '../overlay/netlink/listing.ts'
import { NetlinkTarget } from '../overlay/netlink/target.ts'
import type { OverlayOptions } from '../overlay/options.ts'
import type { GuardRow, OverlayRow } from '../overlay/rows.ts'
import { SubnetFile } from '../overlay/subnetfile.ts'
import type { Log } from '../status/log.ts'
import { onDemand } from './agent-mode.ts'
import { overlayOptions, type OverlayWords } from './agent-overlay-options.ts'
import { coalesced } from './coalesced.ts'

export interface OverlayParts {
  readonly tables: Tables
  readonly graph: Graph
  readonly options: OverlayOptions
  readonly log: Log
  readonly signal: AbortSignal
}

/** What an overlay needs to act. */
export interface OverlayMeans {
  /** `port`: UDP. */
  readonly guard: (port: number) => Target<GuardRow>
  /** null: there is no API server to tell of our end. */
  readonly connection: Connection | null
  /** A path; '': none. */
  readonly subnetEnv: string
}

/** null: this node's pods are somebody else's to carry. */
export function decideOverlay(
  words: OverlayWords & { readonly node: string },
  parts: Omit<OverlayParts, 'options'>,
): Overlay | null {
  return words.overlay === 'none' ? null : new Overlay({ ...parts, options: overlayOptions(words.node, words) })
}

/** What an overlay decides, before anything acts on it. */
export class Overlay {
  readonly rejections: Readable<Rejection>
  readonly #parts: OverlayParts
  readonly #derived: OverlayTables
  readonly #interfaces = new InputTable<InterfaceAddress>('interfaces')
  readonly #found = new InputTable<Found>('found devices')

  constructor(parts: OverlayParts) {
    this.#parts = parts
    const { tables, graph, options } = parts
    const { nodes, serviceCIDRs } = tables
    const inputs = { nodes, serviceCIDRs, interfaces: this.#interfaces, found: this.#found }
    this.#derived = deriveOverlay(graph, inputs, options)
    this.rejections = this.#derived.rejections
  }

  /** What the interfaces of this host have. */
  get interfaces(): Readable<InterfaceAddress> {
    return this.#interfaces
  }

  /** What the kernel holds of it. */
  get rows(): Readable<OverlayRow> {
    return this.#derived.rows
  }

  /** Tables of rows that targets follow, for status. */
  get tables(): readonly Readable<unknown>[] {
    const { rows, guard, announcements, subnetEnv } = this.#derived
    return [rows, guard, announcements, subnetEnv]
  }

  attach(runner: Runner, { guard: makeGuard, connection, subnetEnv }: OverlayMeans): { readonly guard: Binding } {
    const { log, signal, options } = this.#parts
    const target = new NetlinkTarget(onDemand(() => findChecksums(log, signal)))
    const rows = runner.attach(this.#derived.rows, target)
    const guard = runner.attach(this.#derived.guard, makeGuard(options.port))
    if (subnetEnv !== '') runner.attach(this.#derived.subnetEnv, new SubnetFile(subnetEnv))
    if (connection !== null)
      runner.attach(this.#derived.announcements, new Announcer(connection, () => rows.whenApplied(1)))
    const interfaces = new Interfaces(this.#interfaces, {
      signal,
      onProblem: (problem) => log.warn('interfaces of this host', { problem }),
    })
    const audit = coalesced(() => rows.audit().catch(() => {})) // whoever looks says so
    void this.#findDevices()
    void hearKernel({
      flags: ['--link', '--address', '--route', '--neighbour'],
      signal,
      onEvent: (event) => {
        interfaces.hear(event as KernelEvent)
        if (target.concerns(event as KernelEvent)) audit()
      },
      onEnd: (why) => log.warn('the kernel is not heard for a moment', { why }),
    })
    return { guard }
  }

  /** Once: what we change ourselves later is no reason to change more. Until it is known nothing acts. */
  async #findDevices(): Promise<void> {
    const { signal, log, options } = this.#parts
    while (!signal.aborted) {
      try {
        const devices = (await listDevices(signal)).filter(
          ({ vni, port }) => vni === options.vni && port === options.port,
        )
        this.#found.replace(devices.map(({ name, mac }) => [name, { mac }]))
        return this.#found.markSynced()
      } catch (error) {
        if (!signal.aborted) log.warn('cannot list VXLAN devices', { problem: (error as Error).message })
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref())
      }
    }
  }
}

/** How packets that are wrapped get their checksums: by the interface, unless this kernel spoils them. */
async function findChecksums(log: Log, signal: AbortSignal): Promise<Checksums> {
  const checksums = await checksumOffload(release(), () => probeChecksums(signal))
  if (!checksums.isSound && !signal.aborted)
    log.warn('checksums of wrapped packets are computed by the CPU on this kernel', { ...checksums })
  return checksums
}

const RETRY_MS = 5_000
