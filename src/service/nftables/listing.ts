import { createInterface } from 'node:readline'
import { start } from '../../kernel/exec.ts'
import { Checksums } from './checksums.ts'
import { FAMILY, TABLE } from './names.ts'

/** Who is told of the elements of a listing. */
export interface Elements {
  /** `data`: '' for a member of a set. */
  add(map: string, key: string, data: string): void
}

/** Reads all elements of a generation from the kernel, as a stream: nothing is held but sums. */
export async function listChecksums(generation: string, signal: AbortSignal): Promise<Checksums> {
  const sums = new Checksums()
  await list(['table', FAMILY, TABLE], new ListingReader(sums, `_${generation}`), signal)
  return sums
}

/** Reads the elements of one map. */
export async function listMap(map: string, elements: Elements, signal: AbortSignal): Promise<void> {
  await list(['map', FAMILY, TABLE, map], new ListingReader(elements, map), signal)
}

async function list(what: readonly string[], reader: ListingReader, signal: AbortSignal): Promise<void> {
  const child = start(['nft', '-n', 'list', ...what], { stdio: ['ignore', 'pipe', 'pipe'], signal })
  const ended = new Promise<string | null>((resolve) => {
    let errors = ''
    child.stderr?.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(0, 1000)))
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code) => resolve(code === 0 ? null : `exit code ${code}: ${errors.trim()}`))
  })
  if (child.stdout) for await (const line of createInterface({ input: child.stdout })) reader.line(line)
  const failure = await ended
  if (failure !== null) throw new Error(`cannot list nftables ${what.join(' ')}: ${failure}`)
}

/** Understands nft's listing as far as `map NAME {`, `elements = { KEY : DATA, ... }`. */
export class ListingReader {
  readonly #elements: Elements
  readonly #suffix: string
  #map: string | null = null
  #inElements = false

  constructor(elements: Elements, suffix: string) {
    this.#elements = elements
    this.#suffix = suffix
  }

  line(line: string): void {
    if (!this.#inElements) {
      const head = HEAD.exec(line)
      if (head) this.#map = head[2]!.endsWith(this.#suffix) ? head[2]! : null
      const start = line.indexOf(ELEMENTS)
      if (start < 0) return
      this.#inElements = true
      line = line.slice(start + ELEMENTS.length)
    }
    const end = line.indexOf('}')
    if (end >= 0) this.#inElements = false
    if (this.#map === null) return
    for (const text of (end < 0 ? line : line.slice(0, end)).split(',')) this.#element(this.#map, text.trim())
  }

  #element(map: string, text: string): void {
    if (text === '') return
    const colon = text.indexOf(' : ')
    if (colon < 0) this.#elements.add(map, text, '')
    else this.#elements.add(map, text.slice(0, colon), text.slice(colon + 3))
  }
}

const HEAD = /^\t(map|set|chain) (\S+) \{/
const ELEMENTS = 'elements = { '
