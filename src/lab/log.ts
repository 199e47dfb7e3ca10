/** A log file of bounded size: when it is full it becomes FILE.old, and a new one begins. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

export class BoundedLog {
  readonly path: string
  #size: number

  constructor(path: string) {
    this.path = path
    mkdirSync(dirname(path), { recursive: true })
    this.#size = existsSync(path) ? statSync(path).size : 0
  }

  write(chunk: Buffer | string): void {
    if (this.#size + chunk.length > LOG_MAX_BYTES) {
      renameSync(this.path, `${this.path}.old`)
      this.#size = 0
    }
    appendFileSync(this.path, chunk)
    this.#size += chunk.length
  }

  read(): string {
    return [`${this.path}.old`, this.path].map((path) => (existsSync(path) ? readFileSync(path, 'utf8') : '')).join('')
  }
}

const LOG_MAX_BYTES = 1024 * 1024
