/** Cuts a stream of bytes into lines, wherever the chunks end: a character of several bytes never falls apart. */
export class Lines {
  readonly #maxBytes: number
  #rest: Buffer[] = []
  #restBytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Calls `line` with each line that is complete, without its newline; empty lines are left out. Throws when one is too long. */
  push(chunk: Uint8Array, line: (text: string) => void): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let from = 0
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
      const text = this.#complete(bytes.subarray(from, end))
      from = end + 1
      if (text !== '') line(text)
    }
    if (from < bytes.length) this.#keep(bytes.subarray(from))
  }

  /** Bytes of a line that is not complete. */
  get pendingBytes(): number {
    return this.#restBytes
  }

  #complete(last: Buffer): string {
    if (this.#restBytes === 0) return last.toString('utf8')
    this.#keep(last)
    const whole = Buffer.concat(this.#rest, this.#restBytes)
    this.#rest = []
    this.#restBytes = 0
    return whole.toString('utf8')
  }

  #keep(bytes: Buffer): void {
    this.#restBytes += bytes.length
    if (this.#restBytes > this.#maxBytes) throw new RangeError(`a line of more than ${this.#maxBytes} bytes`)
    this.#rest.push(bytes)
  }
}

const NEWLINE = 10
