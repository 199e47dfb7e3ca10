/**
 * Builds the Go programs that tests talk to (components/main.go: those of Kubernetes; coredns/main.go; pebble/go.mod: an ACME
 * server and the name server of its tests; h2spec/go.mod) once, into a cache outside the checkout. A second call finds them
 * there. Run by hand: `node test/cluster/build.ts` prints their paths.
 */
import { createHash } from 'node:crypto'
import { access, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { describe, exec } from '../../src/kernel/exec.ts'

export type Built =
  | { readonly kind: 'built'; readonly binary: string }
  /** `missing`: no Go that is new enough. */
  /** `missing`, too: its modules cannot be fetched. */
  | { readonly kind: 'missing' | 'failed'; readonly hint: string }

export type Program = 'components' | 'coredns' | 'pebble' | 'pebble-challtestsrv' | 'h2spec'

/** Path of the binary; builds it when the cache does not hold it (minutes on 2 cores, 1 GB of Go modules). */
export async function build(program: Program, say: (line: string) => void = () => {}): Promise<Built> {
  const binary = await binaryPath(program)
  const folder = dirname(binary)
  if (await exists(binary)) return { kind: 'built', binary }
  const go = await checkGo()
  if (go !== null) return { kind: 'missing', hint: go }
  await mkdir(folder, { recursive: true })
  const unlock = await lock(join(folder, 'lock'))
  try {
    if (await exists(binary)) return { kind: 'built', binary }
    say(`building ${program} into ${folder}: ${MINUTES[program]}, once`)
    return await compile(program, binary)
  } finally {
    await unlock()
  }
}

/** null when the binaries (of nothing: of `components`) are there; else what builds them, or what to install first. */
export async function whyNotBuilt(...programs: readonly Program[]): Promise<string | null> {
  for (const program of programs.length > 0 ? programs : (['components'] as const))
    if (!(await exists(await binaryPath(program))))
      return (await checkGo()) ?? `build ${program} once: bin/test components (${MINUTES[program]})`
  return null
}

/** Its path; null: not built yet. */
export async function builtPath(program: Program): Promise<string | null> {
  const path = await binaryPath(program)
  return (await exists(path)) ? path : null
}

/** As its go.mod, the only place that names it, has it: `v1.36.1`. */
export async function versionOf(program: keyof typeof MODULES): Promise<string> {
  const mod = await readFile(join(import.meta.dirname, program, 'go.mod'), 'utf8')
  return new RegExp(`${MODULES[program]} (v\\S+)`).exec(mod)![1]!
}

/** Where things that are dear to make are kept between runs. */
export function cacheFolder(): string {
  return process.env['FAIRLEAD_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'fairlead')
}

async function binaryPath(program: Program): Promise<string> {
  return join(cacheFolder(), `${program}-${await contentHash(program)}`, program)
}

async function compile(program: Program, binary: string): Promise<Built> {
  const fresh = `${binary}.${process.pid}`
  // So that `kubectl version` and /version tell the truth.
  const flags = `-s -w -X k8s.io/component-base/version.gitVersion=${await versionOf('components')}`
  const { folder, main } = PROGRAMS[program]
  const source = join(import.meta.dirname, folder)
  for (let tries = 1; ; tries++) {
    const result = await exec(
      ['nice', 'go', 'build', '-C', source, '-trimpath', '-ldflags', flags, '-o', fresh, main],
      {
        env: { ...process.env, CGO_ENABLED: '0' },
        timeoutMs: BUILD_TIMEOUT_MS,
      },
    )
    if (result.kind === 'done') break
    const hint = `go build failed: ${describe(result)}`
    const isAway = result.kind === 'failed' && AWAY.test(result.stderr)
    if (!isAway) return { kind: 'failed', hint }
    // What has come is kept: go itself asks once.
    if (tries === TRIES) return { kind: 'missing', hint }
    await wait(tries * 2_000)
  }
  await rename(fresh, binary)
  return { kind: 'built', binary }
}

/** null when Go is new enough; else what is wrong and what installs it. */
async function checkGo(): Promise<string | null> {
  const result = await exec(['go', 'env', 'GOVERSION'])
  const install = `install Go ${GO_WANTED.join('.')} or newer from https://go.dev/dl/ (Debian 12's golang-go is 1.19)`
  if (result.kind === 'missing') return `Go is missing: ${install}`
  if (result.kind !== 'done') return `go env GOVERSION: ${describe(result)}`
  const [major = 0, minor = 0] = result.stdout.trim().replace(/^go/, '').split('.').map(Number)
  if (major > GO_WANTED[0] || (major === GO_WANTED[0] && minor >= GO_WANTED[1])) return null
  return `Go ${major}.${minor} is too old: ${install}`
}

async function contentHash(program: Program): Promise<string> {
  const hash = createHash('sha256')
  const { folder, files } = PROGRAMS[program]
  for (const file of files) hash.update(await readFile(join(import.meta.dirname, folder, file)))
  return hash.digest('hex').slice(0, 12)
}

/** Tests run side by side: one builds, the others wait for it. A lock whose owner is gone is broken. */
async function lock(path: string): Promise<() => Promise<void>> {
  for (;;) {
    try {
      const file = await open(path, 'wx')
      await file.write(String(process.pid))
      await file.close()
      return () => rm(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const owner = Number(await readFile(path, 'utf8').catch(() => '0'))
    const held = await stat(path).catch(() => null)
    if (held === null) continue
    const justMade = owner === 0 && Date.now() - held.mtimeMs < 5_000
    if (!justMade && !(await exists(`/proc/${owner}`))) await rm(path, { force: true })
    else await wait(LOCK_POLL_MS)
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

interface Source {
  /** Beside this file. */
  readonly folder: string
  /** What its binary is made of; modules are pinned by the last. */
  readonly files: readonly string[]
  /** A package of the module, or of one that its go.mod names as a tool. */
  readonly main: string
}

const PEBBLE = { folder: 'pebble', files: ['go.mod', 'go.sum'] } as const
const PROGRAMS: Readonly<Record<Program, Source>> = {
  components: { folder: 'components', files: ['main.go', 'certs.go', 'go.mod', 'go.sum'], main: '.' },
  coredns: { folder: 'coredns', files: ['main.go', 'go.mod', 'go.sum'], main: '.' },
  pebble: { ...PEBBLE, main: 'github.com/letsencrypt/pebble/v2/cmd/pebble' },
  'pebble-challtestsrv': { ...PEBBLE, main: 'github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv' },
  h2spec: { folder: 'h2spec', files: ['go.mod', 'go.sum'], main: 'github.com/summerwind/h2spec/cmd/h2spec' },
}
const MINUTES: Readonly<Record<Program, string>> = {
  components: 'about 4 minutes',
  coredns: 'about 2 minutes',
  pebble: 'half a minute',
  'pebble-challtestsrv': 'half a minute',
  h2spec: 'half a minute',
}
const MODULES = { components: 'k8s.io/kubernetes', coredns: 'github.com/coredns/coredns' } as const
const GO_WANTED = [1, 26] as const
const BUILD_TIMEOUT_MS = 30 * 60_000
const LOCK_POLL_MS = 500
const TRIES = 4
/** What go says where a module proxy does not answer, or not as it should. */
const AWAY =
  /dial tcp|i\/o timeout|TLS handshake|connection re(set|fused)|unexpected EOF|no such host|: (429|50\d) |stream error|GOAWAY/

if (process.argv[1] === import.meta.filename) {
  for (const program of Object.keys(PROGRAMS) as Program[]) {
    const built = await build(program, (line) => console.error(line))
    console.log(built.kind === 'built' ? built.binary : built.hint)
    process.exitCode = { built: 0, failed: 1, missing: 3 }[built.kind]
    if (built.kind !== 'built') break
  }
}
