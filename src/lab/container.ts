/** One container of a pod: a process behind `fairlead-carrier container`, its output, its end. */
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { start } from '../kernel/exec.ts'
import { expand, WORKDIR } from './env.ts'
import type { BoundedLog } from './log.ts'
import { FILES_FOLDER } from './podfiles.ts'
import type { ContainerSpec } from './podspec.ts'
import { CARRIER } from './program.ts'

/** What a container does here, and why, for people. */
export interface Work {
  readonly kind: 'command' | 'stand-in' | 'idle'
  readonly command: readonly string[]
  readonly detail: string
}

/** Its own command, $(NAME) of the environment in place, if this machine has it, else a stand-in that listens on its ports and says who it is. */
export function workOf(container: ContainerSpec, env: Readonly<Record<string, string>>): Work {
  const [program, ...rest] = (container.command ?? []).map((word) => expand(word, env))
  if (program !== undefined && hasProgram(program, env['PATH'] ?? '')) {
    const command = [program, ...rest, ...(container.args ?? []).map((word) => expand(word, env))]
    return { kind: 'command', command, detail: `runs ${program}` }
  }
  const listens = (container.ports ?? [])
    .map(({ protocol = 'TCP', containerPort }) => [protocol.toLowerCase(), containerPort] as const)
    .filter(([protocol]) => protocol !== 'sctp')
    .map(([protocol, port]) => `${protocol}:${port}`)
  const why = program === undefined ? 'names no command' : `${program} is not on this machine`
  if (listens.length === 0)
    return { kind: 'idle', command: ['sleep', 'infinity'], detail: `idles: ${why}, and has no ports` }
  const command = [CARRIER, 'echo', ...[...new Set(listens)].flatMap((listen) => ['--listen', listen])]
  return { kind: 'stand-in', command, detail: `echo on ${listens.join(', ')}: ${why}` }
}

/** Where a container runs. Paths are as the node sees them. */
export interface Box {
  readonly enter: readonly [string, ...string[]]
  readonly netns: string
  readonly hostname: string
  /** The folder with its hosts file and resolv.conf. */
  readonly files: string
  /** Volumes: SOURCE:TARGET, or SOURCE:TARGET:ro. */
  readonly binds: readonly string[]
}

export interface Ended {
  readonly exitCode: number
  readonly detail: string
  readonly finishedAt: string
}

export class Container {
  readonly startedAt = now()
  readonly ended: Promise<Ended>
  readonly #child: ReturnType<typeof start>
  #isOver = false

  constructor(work: Work, box: Box, env: Record<string, string>, workingDir: string, log: BoundedLog) {
    const place = ['--netns', box.netns, '--hostname', box.hostname]
    for (const bind of [`${box.files}:${FILES_FOLDER}`, ...box.binds]) place.push('--bind', bind)
    place.push('--workdir', existsSync(workingDir) ? workingDir : WORKDIR)
    this.#child = start([...box.enter, CARRIER, 'container', ...place, '--', ...work.command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env,
    })
    this.#child.stdout?.on('data', (chunk: Buffer) => log.write(chunk))
    this.#child.stderr?.on('data', (chunk: Buffer) => log.write(chunk))
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve({ exitCode: 128, detail: error.message, finishedAt: now() }))
      this.#child.once('exit', (code, signal) => {
        this.#isOver = true
        const exitCode = code ?? 128 + 9
        resolve({ exitCode, detail: signal ?? `exit code ${code}`, finishedAt: now() })
      })
    })
  }

  /** Of the process that holds the container, in the lab's numbers; 0 when it has ended. */
  get pid(): number {
    return this.#isOver ? 0 : (this.#child.pid ?? 0)
  }

  signal(name: 'SIGTERM' | 'SIGKILL'): void {
    this.#child.kill(name)
  }
}

export function now(): string {
  return new Date().toISOString().slice(0, 19) + 'Z'
}

function hasProgram(program: string, path: string): boolean {
  const candidates = program.includes('/') ? [program] : path.split(':').map((folder) => `${folder}/${program}`)
  return candidates.some((candidate) => {
    try {
      accessSync(candidate, constants.X_OK)
      return statSync(candidate).isFile()
    } catch {
      return false
    }
  })
}
