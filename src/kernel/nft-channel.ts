import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { carrier } from './carrier.ts'
import { start } from './exec.ts'
import { readFailure, type Nft, type NftResult } from './nft.ts'

/**
 * One process for many transactions: a change is committed about 1 ms after it is known, where `nft -f -` takes some 20
 * (process start, and a grace period of the kernel when its socket closes). The process is started when first used, and
 * again when it died; a transaction under way then fails.
 */
export class NftChannel implements Nft {
  #child: ChildProcess | null = null
  readonly #waiting: ((result: NftResult) => void)[] = []

  run(text: string, signal?: AbortSignal): Promise<NftResult> {
    if (signal?.aborted) return Promise.resolve({ kind: 'failed', reason: 'aborted' })
    const child = (this.#child ??= this.#start())
    return new Promise((resolve) => {
      // What is under way cannot be called back: killing the process is the only way to stop waiting for the kernel.
      const abort = (): void => void child.kill('SIGKILL')
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiting.push((result) => {
        signal?.removeEventListener('abort', abort)
        resolve(result)
      })
      child.stdin?.write(`${Buffer.byteLength(text)}\n${text}`)
    })
  }

  close(): void {
    this.#child?.stdin?.end()
    this.#child = null
  }

  #start(): ChildProcess {
    const child = start([carrier, 'nft'], { stdio: ['pipe', 'pipe', 'pipe'] })
    let last = ''
    child.stderr?.on('data', (chunk: Buffer) => (last = (last + chunk.toString()).slice(-1000)))
    child.stdin?.on('error', () => {}) // the process is gone: `close` tells
    createInterface({ input: child.stdout! }).on('line', (line) => this.#waiting.shift()?.(readAnswer(line)))
    const gone = (why: string): void => {
      if (this.#child === child) this.#child = null
      for (const resolve of this.#waiting.splice(0)) resolve({ kind: 'failed', reason: why })
    }
    child.once('error', (error) => gone(`${carrier}: ${error.message}; build it with: bin/setup`))
    child.once('close', (code, signal) =>
      gone(`fairlead-carrier nft ended (${signal ?? `exit code ${code}`}) ${last.trim()}`),
    )
    return child
  }
}

function readAnswer(line: string): NftResult {
  const answer = JSON.parse(line) as { ok: boolean; error?: string }
  return answer.ok ? { kind: 'committed' } : readFailure(answer.error ?? '')
}
