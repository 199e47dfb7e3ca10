/**
 * The only place that starts a process. Argument arrays, never a shell string; bounded output; a missing tool is named
 * with the Debian package that has it.
 */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'

export type ExecResult =
  | { readonly kind: 'done'; readonly stdout: string }
  | { readonly kind: 'failed'; readonly code: number | null; readonly killedBy: string | null; readonly stderr: string }
  | { readonly kind: 'missing'; readonly tool: string; readonly hint: string }

export interface ExecOptions {
  readonly stdin?: string | Iterable<string>
  readonly signal?: AbortSignal
  readonly env?: NodeJS.ProcessEnv
  readonly timeoutMs?: number
}

/** Runs a command to its end. Never throws: what can fail outside is a value. */
export function exec(command: readonly [string, ...string[]], options: ExecOptions = {}): Promise<ExecResult> {
  const [tool, ...args] = command
  return new Promise((resolve) => {
    const child = spawn(tool, args, {
      stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? TIMEOUT_MS,
      killSignal: 'SIGKILL',
      ...(options.signal && { signal: options.signal }),
      ...(options.env && { env: options.env }),
    })
    const stdout = collect(child.stdout)
    const stderr = collect(child.stderr)
    child.once('error', (error: NodeJS.ErrnoException) => {
      // Killed, but perhaps still in the kernel: what it does there is over when it has closed.
      if (error.name === 'AbortError' && child.pid !== undefined) return
      if (error.code === 'ENOENT') resolve(missing(tool))
      else resolve({ kind: 'failed', code: null, killedBy: null, stderr: error.message })
    })
    child.once('close', (code, killedBy) => {
      if (code === 0) resolve({ kind: 'done', stdout: stdout() })
      else resolve({ kind: 'failed', code, killedBy, stderr: stderr() || stdout() }) // CNI plugins complain on stdout
    })
    if (options.stdin !== undefined) feed(child, options.stdin)
  })
}

/** Starts a process that stays: the caller reads its output and waits for its end. */
export function start(
  command: readonly [string, ...string[]],
  options: { stdio: StdioOptions; env?: NodeJS.ProcessEnv; signal?: AbortSignal; detached?: boolean; cwd?: string },
): ChildProcess {
  const [tool, ...args] = command
  return spawn(tool, args, options)
}

/** What to tell a person about a result that is not `done`. */
export function describe(result: Exclude<ExecResult, { kind: 'done' }>): string {
  if (result.kind === 'missing') return `${result.tool} is missing: ${result.hint}`
  const how = result.killedBy === null ? `exit code ${result.code}` : `killed by ${result.killedBy}`
  return `${how}: ${result.stderr.trim().slice(0, 2000)}`
}

function missing(tool: string): ExecResult {
  const name = tool.split('/').at(-1)!
  const from = PACKAGES[name]
  return { kind: 'missing', tool: name, hint: from ? `install it with: apt-get install ${from}` : 'it is not on PATH' }
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = []
  let size = 0
  stream?.on('data', (chunk: Buffer) => {
    if (size < OUTPUT_MAX_BYTES) chunks.push(chunk)
    size += chunk.length
  })
  return () => Buffer.concat(chunks).toString('utf8')
}

function feed(child: ChildProcess, input: string | Iterable<string>): void {
  const stdin = child.stdin!
  stdin.on('error', () => {}) // EPIPE: the exit code and stderr say why it went away
  if (typeof input === 'string') {
    stdin.end(input)
    return
  }
  const parts = input[Symbol.iterator]()
  const write = (): void => {
    for (let next = parts.next(); ; next = parts.next()) {
      if (next.done === true) return void stdin.end()
      if (!stdin.write(next.value)) return void stdin.once('drain', write)
    }
  }
  write()
}

const TIMEOUT_MS = 120_000
const OUTPUT_MAX_BYTES = 64 * 1024 * 1024
const PACKAGES: Readonly<Record<string, string>> = {
  dig: 'bind9-dnsutils',
  nft: 'nftables',
  ip: 'iproute2',
  bridge: 'iproute2',
  tc: 'iproute2',
  ethtool: 'ethtool',
  ipset: 'ipset',
  iptables: 'iptables',
  conntrack: 'conntrack',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  sysctl: 'procps',
}
