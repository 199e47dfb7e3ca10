/** The conflist of an agent: what it follows from, who writes it, and what wakes them. */
import { deriveCni, type CniTables } from '../cni/derive.ts'
import { NETWORK } from '../cni/conflist.ts'
import { ConflistFile } from '../cni/file.ts'
import { createForerunners, readForerunners } from '../cni/forerunners.ts'
import { createLeases, DATA_DIR, readLeases } from '../cni/leases.ts'
import type { Node } from '../cluster/node.ts'
import { derive } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import type { Runner } from '../core/runner.ts'
import type { Readable } from '../core/table.ts'
import type { OverlayRow } from '../overlay/rows.ts'

export interface CniParts {
  readonly graph: Graph
  readonly nodes: Readable<Node>
  /** null: no overlay. */
  readonly overlay: Readable<OverlayRow> | null
  readonly node: string
  readonly folder: string
  readonly dataDir: string
  readonly often: (work: () => unknown, everyMs: number) => void
}

export class Cni {
  readonly tables: CniTables
  readonly #parts: CniParts
  readonly #leases = createLeases()
  readonly #forerunners = createForerunners()

  constructor(parts: CniParts) {
    this.#parts = parts
    const { graph, nodes, overlay, node, folder, dataDir } = parts
    const devices =
      overlay === null
        ? null
        : derive<{ readonly mtu: number }, OverlayRow>(graph, {
            name: 'overlay MTUs',
            driver: overlay,
            inputs: [],
            indexes: { all: () => [''] },
            rows: (_, row) => (row.kind === 'device' ? [[row.name, { mtu: row.mtu }]] : []),
          })
    const inputs = { nodes, devices, leases: this.#leases, forerunners: this.#forerunners }
    this.tables = deriveCni(graph, inputs, { node, folder, dataDir: dataDir === DATA_DIR ? null : dataDir })
  }

  attach(runner: Runner): void {
    const { folder, dataDir, often } = this.#parts
    const target = new ConflistFile(folder)
    const binding = runner.attach(this.tables.conflist, target)
    often(() => {
      if (target.differs() !== null) void binding.audit().catch(() => {}) // whoever looks says so
    }, FILE_MS)
    const look = (): Promise<void> => readLeases(this.#leases, dataDir, NETWORK)
    often(look, LEASES_MS)
    void look()
    const lookAround = (): Promise<void> => readForerunners(this.#forerunners, folder)
    often(lookAround, FILE_MS)
    void lookAround()
  }
}

const FILE_MS = 500
const LEASES_MS = 5_000
