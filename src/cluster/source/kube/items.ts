/**
 * Cuts the body of a list into its items as the bytes arrive, so that a list of any size costs the memory of one item. What
 * is not an item (kind, metadata: the envelope) is returned at the end. The order of the fields does not matter.
 */
export class Items {
  readonly #maxBytes: number
  /** Bytes outside the items, read so far. */
  #envelope = ''
  #item: Buffer[] = []
  #itemBytes = 0
  #depth = 0
  #inString = false
  #escaped = false
  /** Inside `"items": [`, where depth 2 is between items. */
  #inItems = false

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Calls `item` with the JSON text of each item that is complete. Throws when one (or the envelope) is too long. */
  push(chunk: Uint8Array, item: (json: string) => void): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let at = 0
    while (at < bytes.length) at = this.#inItems ? this.#readItems(bytes, at, item) : this.#readEnvelope(bytes, at)
  }

  /** The list without its items. Throws when the body was not complete or is not JSON. */
  end(): Record<string, any> {
    if (this.#depth !== 0 || this.#envelope === '') throw new SyntaxError('the list was cut short')
    const envelope: unknown = JSON.parse(this.#envelope)
    if (typeof envelope !== 'object' || envelope === null) throw new SyntaxError('the answer is not a list')
    return envelope
  }

  /** Reads from `at` until the items begin or the chunk ends; returns where it stopped. */
  #readEnvelope(bytes: Buffer, at: number): number {
    const from = at
    for (; at < bytes.length; at++) {
      const byte = bytes[at]!
      if (this.#inString) this.#skipInString(byte)
      else if (byte === QUOTE) this.#inString = true
      else if (byte === OPEN_BRACE) this.#depth++
      else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) this.#depth--
      else if (byte === OPEN_BRACKET) {
        this.#depth++
        if (this.#depth !== 2) continue
        // Nothing that is read of the envelope is other than ASCII, and latin1 never falls apart between chunks.
        this.#keepEnvelope(bytes.toString('latin1', from, at + 1))
        this.#inItems = ITEMS.test(this.#envelope.slice(-ITEMS_TAIL))
        return at + 1
      }
    }
    this.#keepEnvelope(bytes.toString('latin1', from, at))
    return at
  }

  /** Reads from `at` until the items end or the chunk does; returns where it stopped. */
  #readItems(bytes: Buffer, at: number, item: (json: string) => void): number {
    let from = at
    let depth = this.#depth
    let inString = this.#inString
    let escaped = this.#escaped
    // Local variables: this loop sees every byte of every list.
    for (; at < bytes.length; at++) {
      const byte = bytes[at]!
      if (inString) {
        if (escaped) escaped = false
        else if (byte === BACKSLASH) escaped = true
        else if (byte === QUOTE) inString = false
      } else if (depth > 2 && byte === QUOTE) inString = true
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        if (depth === 2) from = at
        depth++
      } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        depth--
        if (depth === 2) item(this.#complete(bytes.subarray(from, at + 1)))
        else if (depth === 1) {
          this.#inItems = false
          this.#inString = false // as it was where the last chunk ended
          this.#depth = 1
          this.#keepEnvelope(']')
          return at + 1
        }
      } else if (depth === 2 && !SPACE_OR_COMMA.has(byte)) throw new SyntaxError('an item of the list is not an object')
    }
    if (depth > 2) this.#keepItem(bytes.subarray(from))
    this.#depth = depth
    this.#inString = inString
    this.#escaped = escaped
    return at
  }

  #skipInString(byte: number): void {
    if (this.#escaped) this.#escaped = false
    else if (byte === BACKSLASH) this.#escaped = true
    else if (byte === QUOTE) this.#inString = false
  }

  #complete(last: Buffer): string {
    if (this.#itemBytes === 0) return last.toString('utf8')
    this.#keepItem(last)
    const whole = Buffer.concat(this.#item, this.#itemBytes)
    this.#item = []
    this.#itemBytes = 0
    return whole.toString('utf8')
  }

  #keepItem(bytes: Buffer): void {
    this.#itemBytes += bytes.length
    if (this.#itemBytes > this.#maxBytes) throw new RangeError(`an item of more than ${this.#maxBytes} bytes`)
    this.#item.push(bytes)
  }

  #keepEnvelope(text: string): void {
    this.#envelope += text
    if (this.#envelope.length > ENVELOPE_MAX_BYTES) throw new RangeError('the list has too much beside its items')
  }
}

const QUOTE = 34
const BACKSLASH = 92
const OPEN_BRACE = 123
const CLOSE_BRACE = 125
const OPEN_BRACKET = 91
const CLOSE_BRACKET = 93
const SPACE_OR_COMMA: ReadonlySet<number> = new Set([9, 10, 13, 32, 44])
/** The key, with what comes before it: `\"items":` inside a longer key is not it. */
const ITEMS = /[{,\s]"items"\s*:\s*\[$/
const ITEMS_TAIL = 64
const ENVELOPE_MAX_BYTES = 1024 * 1024
