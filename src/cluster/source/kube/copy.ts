/**
 * The last synced rows of each kind on disk, so that a restarted agent can act while the API server is away. One file a kind:
 * a header line, then a line a row. What cannot be read whole, or is of another version, does not count.
 */
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import type { Key } from '../../../core/delta.ts'
import type { Readable } from '../../../core/table.ts'
import type { Inlet } from '../../inlet.ts'
import type { Kind } from '../../kind.ts'
import { Lines } from '../../../core/lines.ts'
import { OBJECT_MAX_BYTES } from './list.ts'
import { decodeRow, encodeRow } from './rowtext.ts'

export type Copy =
  | { readonly kind: 'copy'; readonly rows: ReadonlyMap<Key, any>; readonly saved: string }
  | { readonly kind: 'none'; readonly reason: string }

/** Secrets are never written down. */
export const copiable = (kind: Kind<unknown>): boolean => kind.kind !== 'Secret'

/** Where the copies are and who may read them: the rows' shape belongs to one version of Fairlead. */
export class Copies {
  readonly folder: string
  /** Of the program: another one's copies do not count, since its rows may have another shape. */
  readonly version: string
  readonly everyMs: number

  /** `everyMs`: shortest time between two copies of a kind. */
  constructor(folder: string, version: string, { everyMs = EVERY_MS } = {}) {
    this.folder = folder
    this.version = version
    this.everyMs = everyMs
  }

  async load(kind: Kind<unknown>): Promise<Copy> {
    return loadCopy(kind, this)
  }

  /** null, or why it was not saved. The old copy stays until the new one is whole. */
  async save(kind: Kind<unknown>, table: Readable<unknown>): Promise<string | null> {
    return saveCopy(kind, this, table)
  }
}

export async function loadCopy(kind: Kind<unknown>, copies: Copies): Promise<Copy> {
  const path = join(copies.folder, nameOf(kind))
  const rows = new Map<Key, any>()
  const pool = new Map<string, string>()
  let header: Header | null = null
  const lines = new Lines(OBJECT_MAX_BYTES)
  const line = (text: string): void => {
    if (header === null) header = readHeader(text, kind, copies)
    else {
      const [key, row] = decodeRow(text, pool)
      rows.set(key, row)
    }
  }
  try {
    if ((await stat(path)).size > FILE_MAX_BYTES) return none(`${path} is larger than ${FILE_MAX_BYTES} bytes`)
    for await (const chunk of createReadStream(path)) lines.push(chunk as Buffer, line)
  } catch (error) {
    return none((error as Error).message)
  }
  const whole = header as Header | null
  if (whole === null || whole.rows !== rows.size || lines.pendingBytes > 0) return none(`${path} is not whole`)
  return { kind: 'copy', rows, saved: whole.saved }
}

async function saveCopy(kind: Kind<unknown>, copies: Copies, table: Readable<unknown>): Promise<string | null> {
  if (!copiable(kind)) throw new Error(`${kind.kind} must not be written to disk`)
  const path = join(copies.folder, nameOf(kind))
  const fresh = `${path}.${process.pid}.new`
  try {
    await mkdir(copies.folder, { recursive: true, mode: 0o700 })
    const file = await open(fresh, 'w', 0o600)
    try {
      await writeRows(file, kind, copies, table)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(fresh, path)
    return null
  } catch (error) {
    await rm(fresh, { force: true }).catch(() => {})
    return `no copy of ${kind.plural} was kept: ${(error as Error).message}`
  }
}

interface Writer {
  write(text: string): Promise<unknown>
}

/** In parts, with other work between them: 100,000 endpoints take a while. */
async function writeRows(file: Writer, kind: Kind<unknown>, copies: Copies, table: Readable<unknown>): Promise<void> {
  const rows = [...table.entries()] // immutable rows: the copy is of one moment
  const header: Header = {
    fairlead: 'copy',
    version: copies.version,
    kind: kind.kind,
    rows: rows.length,
    saved: new Date().toISOString(),
  }
  let text = `${JSON.stringify(header)}\n`
  let total = 0
  for (const [key, row] of rows) {
    text += encodeRow(key, row)
    if (text.length < PART_CHARS) continue
    total += text.length
    if (total > FILE_MAX_BYTES) throw new Error(`more than ${FILE_MAX_BYTES} bytes`)
    await file.write(text)
    text = ''
    await nextTurn()
  }
  await file.write(text)
}

export interface KeepOptions {
  readonly signal: AbortSignal
  /** True once the rows come from the API server. */
  readonly fresh: () => boolean
  readonly onProblem: (text: string) => void
}

/** Saves the inlet's rows when they have changed, at most every `everyMs`, and once more at the end. */
export async function keepCopy(inlet: Inlet<any>, copies: Copies, options: KeepOptions): Promise<void> {
  const { signal, fresh, onProblem } = options
  await sweep(copies, inlet.kind)
  let saved = -1
  let told: string | null = null
  const save = async (): Promise<void> => {
    const { number } = inlet.table
    if (!fresh() || number === saved) return
    const wrong = await copies.save(inlet.kind, inlet.table)
    if (wrong === null) saved = number
    if (wrong !== null && wrong !== told) onProblem(wrong)
    told = wrong
  }
  while (!signal.aborted) {
    const before = saved
    await save()
    const ms = saved === before ? Math.min(LOOK_MS, copies.everyMs) : copies.everyMs
    await wait(ms, undefined, { signal }).catch(() => {})
  }
  await save()
}

/** Removes what a writer that was killed left behind. */
async function sweep(copies: Copies, kind: Kind<unknown>): Promise<void> {
  const names = await readdir(copies.folder).catch(() => [])
  for (const name of names) {
    if (name.startsWith(`${nameOf(kind)}.`) && name.endsWith('.new'))
      await rm(join(copies.folder, name), { force: true })
  }
}

interface Header {
  readonly fairlead: 'copy'
  readonly version: string
  readonly kind: string
  readonly rows: number
  /** ISO 8601. */
  readonly saved: string
}

function readHeader(text: string, kind: Kind<unknown>, copies: Copies): Header {
  const header = JSON.parse(text) as Header
  if (header.fairlead !== 'copy' || header.kind !== kind.kind) throw new Error('not a copy of this kind')
  if (header.version !== copies.version)
    throw new Error(`it is of version ${header.version}, this is ${copies.version}`)
  return header
}

const none = (reason: string): Copy => ({ kind: 'none', reason })
const nameOf = (kind: Kind<unknown>): string => `${kind.group === '' ? 'core' : kind.group}.${kind.plural}.jsonl`

const EVERY_MS = 60_000
const LOOK_MS = 1_000
const FILE_MAX_BYTES = 512 * 1024 * 1024
const PART_CHARS = 256 * 1024
