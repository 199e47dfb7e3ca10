/** A lab started as a person starts it, in a folder of its own, as root or as somebody else; and what is left of it. */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, chownSync, chmodSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { exec, start, type ExecResult } from '../../src/kernel/exec.ts'
import { readRecord, type LabRecord } from '../../src/lab/place.ts'

export type Who = 'root' | 'nobody' | 'me'

/** Who can start a lab here: root also as somebody without any rights. */
export const everybody: readonly Who[] = process.getuid!() === 0 ? ['root', 'nobody'] : ['me']

/** Why a lab cannot be started so from here, for the test to skip; false when it can. */
export function cannot(who: Who): string | false {
  if (who !== 'nobody') return false
  for (let folder = dirname(MAIN); folder !== '/'; folder = dirname(folder))
    if ((statSync(folder).mode & 0o001) === 0) return `only the owner of ${folder} reaches this checkout`
  return false
}

export class LabRun {
  readonly folder = mkdtempSync(join(tmpdir(), 'fairlead-lab-'))
  readonly #who: Who
  readonly #env: NodeJS.ProcessEnv
  readonly #within: readonly string[]
  readonly output: string[] = []

  /** `within`: a command that runs the commands of the CLI, which are put after it. */
  constructor(who: Who, env: NodeJS.ProcessEnv = { FAIRLEAD_LAB_NO_AGENT: '1' }, within: readonly string[] = []) {
    this.#who = who
    this.#within = within
    this.#env = { ...process.env, ...env, XDG_RUNTIME_DIR: this.folder }
    chmodSync(this.folder, 0o700)
    if (who === 'nobody') chownSync(this.folder, NOBODY, NOBODY)
  }

  get place(): string {
    return join(this.folder, 'fairlead')
  }

  get record(): LabRecord {
    const record = readRecord(this.place)
    if (record === null) throw new Error(`no lab runs in ${this.place}:\n${this.output.join('')}`)
    return record
  }

  /** A command of the CLI, to its end. */
  cli(...words: string[]): Promise<ExecResult> {
    return exec(this.#as(words), { env: this.#env, timeoutMs: COMMAND_MAX_MS })
  }

  /** Standard output of a command in the lab. Throws when it fails. */
  async inside(target: string, ...command: string[]): Promise<string> {
    const result = await this.cli('exec', target, '--', ...command)
    if (result.kind !== 'done') throw new Error(`exec ${target} -- ${command.join(' ')}: ${JSON.stringify(result)}`)
    return result.stdout
  }

  async json<T>(...words: string[]): Promise<T> {
    const result = await this.cli('get', ...words, '-o', 'json')
    if (result.kind !== 'done') throw new Error(`get ${words.join(' ')}: ${JSON.stringify(result)}`)
    return JSON.parse(result.stdout) as T
  }

  /** Starts it in the foreground and waits until all is ready; returns the process of the person's command. */
  async foreground(...words: string[]): Promise<ReturnType<typeof start>> {
    const child = start(this.#as(['up', ...words]), { stdio: ['ignore', 'pipe', 'pipe'], env: this.#env })
    child.stdout!.on('data', (chunk: Buffer) => this.output.push(chunk.toString()))
    child.stderr!.on('data', (chunk: Buffer) => this.output.push(chunk.toString()))
    await until(
      () => /The cluster is up/.test(this.output.join('')) || child.exitCode !== null,
      'the cluster is up',
      this,
      COMMAND_MAX_MS,
    )
    if (child.exitCode !== null) throw new Error(`up ended:\n${this.output.join('')}`)
    return child
  }

  async remove(): Promise<void> {
    const record = readRecord(this.place)
    if (record !== null) await this.cli('down')
    rmSync(this.folder, { recursive: true, force: true })
  }

  #as(words: readonly string[]): [string, ...string[]] {
    const somebody = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--']
    const cli = [process.execPath, '--disable-warning=ExperimentalWarning', MAIN, ...words]
    return [...this.#within, ...(this.#who === 'nobody' ? somebody : []), ...cli] as unknown as [string, ...string[]]
  }
}

/** Waits for a condition. Throws when it does not come. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  what: string,
  lab?: LabRun,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const deadlineMs = performance.now() + patienceMs
  while (!(await isSo())) {
    if (performance.now() > deadlineMs)
      throw new Error(`${what}: not within ${patienceMs} ms\n${lab?.output.join('') ?? ''}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Everything a process started, itself too: with the namespaces they are in. */
export function tree(root: number): { readonly pids: ReadonlySet<string>; readonly namespaces: ReadonlySet<string> } {
  const pids = new Set<string>()
  const visit = (pid: string): void => {
    pids.add(identity(pid))
    for (const child of read(`/proc/${pid}/task/${pid}/children`).split(' ')) if (child) visit(child)
  }
  visit(String(root))
  const all = [...pids].map((id) => id.split(' ')[0]!)
  return { pids, namespaces: new Set(all.flatMap(namespacesOf).filter((name) => !namespacesOf('self').includes(name))) }
}

/** What of a tree is still there. */
export function leftOf({ pids, namespaces }: ReturnType<typeof tree>): string[] {
  const left: string[] = []
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const { 2: state } = read(`/proc/${pid}/stat`).split(/ (?=[A-Z] )| /)
    const isDead = state === undefined || state === 'Z' || state === 'X'
    if (isDead) continue
    const shared = namespacesOf(pid).filter((name) => namespaces.has(name))
    if (pids.has(identity(pid)) || shared.length > 0)
      left.push(`${pid} ${read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')} ${shared}`)
  }
  return left
}

/** Mounts and named network namespaces of the machine. */
export function marks(): string[] {
  const mounts = read('/proc/self/mountinfo')
    .split('\n')
    .filter((line) => line.includes('fairlead'))
  let names: string[] = []
  try {
    names = readdirSync('/run/netns').filter((name) => /^(n\d+|outside|cni-.*)$/.test(name))
  } catch {
    // No folder: no names.
  }
  return [...mounts, ...names]
}

function identity(pid: string): string {
  const stat = read(`/proc/${pid}/stat`)
  return `${pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''}`
}

function namespacesOf(pid: string): string[] {
  return ['net', 'mnt', 'pid', 'uts', 'user'].flatMap((kind) => {
    try {
      return [readlinkSync(`/proc/${pid}/ns/${kind}`)]
    } catch {
      return []
    }
  })
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname
const NOBODY = 65534
const PATIENCE_MS = 60_000
/** A whole cluster starts meanwhile, on a machine that does something else, too. */
const COMMAND_MAX_MS = 300_000
