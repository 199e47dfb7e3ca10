/**
 * Starts the lab in namespaces of its own:
 *
 *   fairlead up -> unshare -> fairlead-carrier init (PID 1 of the lab) -> node inside.ts -> agents, pods, ...
 *
 * Each dies with the one before it (PR_SET_PDEATHSIG), and when PID 1 ends the kernel ends everything in its PID
 * namespace; with the last process go the network and mount namespaces. So nothing is left, whichever is killed.
 */
import { accessSync, closeSync, constants, existsSync, openSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { describe, exec, start } from '../kernel/exec.ts'
import { PLUGINS } from './cni.ts'
import {
  apiSocketIn,
  clearPlace,
  controlSocketIn,
  logIn,
  makePlace,
  readRecord,
  removePlace,
  startTime,
  writeRecord,
} from './place.ts'
import { nodePlans } from './plan.ts'
import { CARRIER, INSIDE } from './program.ts'
import type { Publication } from './publication.ts'

type Process = ReturnType<typeof start>

export interface LabOptions {
  /** Absolute paths of manifest files and folders. */
  readonly files: readonly string[]
  readonly nodes: number
  readonly zones: readonly string[]
  readonly withProbeDelays: boolean
  readonly nodeLocalDns: boolean
  readonly publish: readonly Publication[]
  readonly place: string
  /** When the person asked for it, ms since 1970: start times are told from here. */
  readonly startedMs: number
}

export interface RunningLab {
  /** Whether everything became ready; false: the lab ended before. */
  readonly ready: Promise<boolean>
  /** Exit code. */
  readonly ended: Promise<number>
  /** Asks the lab to end. */
  stop(): void
}

export type Start =
  { readonly kind: 'started'; readonly lab: RunningLab } | { readonly kind: 'refused'; readonly reason: string }

/** Detached, the lab outlives this process and writes to its log. */
export async function startLab(options: LabOptions, isDetached: boolean): Promise<Start> {
  const { place } = options
  const record = readRecord(place)
  if (record !== null)
    return refused(`a lab is running already (process ${record.outerPid}); end it with: fairlead down`)
  const lacks = whatLacks()
  if (lacks.length > 0) return refused(lacks.join('\n'))
  const unusable = makePlace(place)
  if (unusable !== null) return refused(unusable)
  clearPlace(place)
  const isRoot = process.getuid!() === 0
  const log = isDetached ? openSync(logIn(place), 'w', 0o600) : null
  const child = start(command(options, isRoot, isDetached), {
    stdio: ['ignore', log ?? 'inherit', log ?? 'inherit', 'pipe'],
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/local/sbin:/usr/sbin:/sbin` },
    detached: isDetached,
  })
  if (log !== null) closeSync(log)
  const ended = new Promise<number>((resolve) => {
    child.once('error', () => resolve(127))
    child.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGKILL' ? 137 : 1)))
  })
  const news = listen(child)
  if (!(await news.born)) return refused(await whyNot(isRoot, isDetached ? readFileSync(logIn(place), 'utf8') : ''))
  const initPid = firstChild(child.pid!)
  writeRecord(place, {
    version: 1,
    outerPid: isDetached ? child.pid! : process.pid,
    initPid,
    initStarted: startTime(initPid) ?? '',
    userNamespace: !isRoot,
    apiSocket: apiSocketIn(place),
    controlSocket: controlSocketIn(place),
    nodes: nodePlans(options.nodes, options.zones).map(({ name }) => name),
  })
  if (isDetached) child.unref()
  else void ended.then(() => removePlace(place))
  return { kind: 'started', lab: { ready: news.ready, ended, stop: () => void end(initPid) } }
}

function command(options: LabOptions, isRoot: boolean, isDetached: boolean): [string, ...string[]] {
  const follow = isDetached ? [] : ['setpriv', '--pdeathsig', 'KILL', '--']
  const user = isRoot ? [] : ['--user', '--map-root-user']
  // Sockets belong to the network they were opened in: these are the machine's.
  const on = options.publish.flatMap(({ listen, isFlexible }) => [isFlexible ? '--prefer' : '--on', `tcp:${listen}`])
  const listening = on.length > 0 ? [CARRIER, 'listen', ...on, '--'] : []
  const unshare = ['unshare', '--fork', '--pid', '--kill-child', '--net', '--mount', '--mount-proc', ...user, '--']
  const inside = [process.execPath, '--disable-warning=ExperimentalWarning', INSIDE, JSON.stringify(options)]
  return [...follow, ...listening, ...unshare, CARRIER, 'init', '--', ...inside] as unknown as [string, ...string[]]
}

/** The lab tells on file descriptor 3: `born`, then `ready`. */
function listen(child: Process): { born: Promise<boolean>; ready: Promise<boolean> } {
  const born = Promise.withResolvers<boolean>()
  const ready = Promise.withResolvers<boolean>()
  const pipe = child.stdio[3] as Readable & { unref?(): void }
  createInterface({ input: pipe }).on('line', (line) => {
    const { event } = JSON.parse(line) as { event: string }
    if (event === 'born') born.resolve(true)
    if (event === 'ready') ready.resolve(true)
  })
  child.once('close', () => {
    born.resolve(false)
    ready.resolve(false)
  })
  child.once('error', () => born.resolve(false))
  return { born: born.promise, ready: ready.promise }
}

/** SIGTERM to the lab's PID 1, which ends all; SIGKILL if it does not. */
export async function end(initPid: number): Promise<void> {
  const started = startTime(initPid)
  const isThere = (): boolean => started !== null && startTime(initPid) === started
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (!isThere()) return
    process.kill(initPid, signal)
    const deadlineMs = performance.now() + END_MAX_MS
    while (isThere() && performance.now() < deadlineMs) await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

function whatLacks(): string[] {
  const lacks: string[] = []
  if (!existsSync(CARRIER)) lacks.push(`${CARRIER} is not built; run: bin/setup`)
  const path = `${process.env['PATH']}:/usr/local/sbin:/usr/sbin:/sbin`.split(':')
  for (const [tool, name] of Object.entries(TOOLS)) {
    if (!path.some((folder) => isProgram(`${folder}/${tool}`)))
      lacks.push(`${tool} is missing; install it with: apt-get install ${name}`)
  }
  for (const plugin of ['ptp', 'host-local', 'loopback', 'portmap']) {
    if (isProgram(`${PLUGINS}/${plugin}`)) continue
    lacks.push(`the CNI plugin ${plugin} is missing; install it with: apt-get install containernetworking-plugins`)
    break
  }
  return lacks
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

async function whyNot(isRoot: boolean, log: string): Promise<string> {
  const user = isRoot ? [] : ['--user', '--map-root-user']
  const tried = await exec(['unshare', '--fork', '--pid', '--net', '--mount', ...user, '--', 'true'])
  if (tried.kind === 'done') return `the lab ended before it was up${log && `:\n${log.trim()}`}`
  const why = `no namespaces for the lab: ${describe(tried)}`
  if (isRoot) return `${why}\nroot without CAP_SYS_ADMIN, as in an ordinary container; start that with --privileged`
  const knobs = Object.entries(KNOBS).filter(([file, { forbids }]) => {
    try {
      return readFileSync(file, 'utf8').trim() === forbids
    } catch {
      return false
    }
  })
  const remedies = knobs.map(([, { remedy }]) => `  sudo sysctl -w ${remedy}`)
  const how =
    remedies.length > 0 ? `allow user namespaces with:\n${remedies.join('\n')}` : 'this machine forbids user namespaces'
  return `${why}\n${how}\nor start the lab as root`
}

function firstChild(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0])
}

function refused(reason: string): Start {
  return { kind: 'refused', reason }
}

const END_MAX_MS = 5000
const TOOLS: Readonly<Record<string, string>> = {
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  ip: 'iproute2',
  bridge: 'iproute2',
  sysctl: 'procps',
  nft: 'nftables',
}
/** Switches by which distributions forbid user namespaces. */
const KNOBS: Readonly<Record<string, { readonly forbids: string; readonly remedy: string }>> = {
  '/proc/sys/kernel/unprivileged_userns_clone': {
    forbids: '0',
    remedy: 'kernel.unprivileged_userns_clone=1',
  },
  '/proc/sys/kernel/apparmor_restrict_unprivileged_userns': {
    forbids: '1',
    remedy: 'kernel.apparmor_restrict_unprivileged_userns=0',
  },
  '/proc/sys/user/max_user_namespaces': {
    forbids: '0',
    remedy: 'user.max_user_namespaces=10000',
  },
}
