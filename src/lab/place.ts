/** Where a running lab is found: one folder with the API's socket, the lab's own socket, its log and lab.json. */
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'

/** What lab.json holds: enough to find and enter a lab from outside. Process ids are as the machine sees them. */
export interface LabRecord {
  readonly version: 1
  /** The process that holds the lab: when it ends, the lab ends. */
  readonly outerPid: number
  /** PID 1 of the lab; its namespaces are the lab's. */
  readonly initPid: number
  /** Kernel start time of initPid (clock ticks since boot): a reused process id is not mistaken for the lab. */
  readonly initStarted: string
  /** Whether the lab has a user namespace of its own (it was not started by root). */
  readonly userNamespace: boolean
  readonly apiSocket: string
  readonly controlSocket: string
  readonly nodes: readonly string[]
}

/** Folder of the lab: $XDG_RUNTIME_DIR/fairlead, else /run/fairlead for root, else /tmp/fairlead-UID. */
export function placeOf(env: NodeJS.ProcessEnv = process.env, uid = process.getuid!()): string {
  if (env.XDG_RUNTIME_DIR) return join(env.XDG_RUNTIME_DIR, 'fairlead')
  return uid === 0 ? '/run/fairlead' : `/tmp/fairlead-${uid}`
}

export const apiSocketIn = (place: string): string => join(place, 'api.sock')
export const controlSocketIn = (place: string): string => join(place, 'lab.sock')
export const logIn = (place: string): string => join(place, 'lab.log')
/** Sockets of the pods of the DNS, by their addresses. */
export const dnsIn = (place: string): string => join(place, 'dns')
/** Certificate of the authority for names at and below `localhost`, PEM. */
export const authorityIn = (place: string): string => join(place, 'ca.crt')
export const nodesIn = (place: string): string => join(place, 'nodes')
const recordIn = (place: string): string => join(place, 'lab.json')

/** Makes the folder with mode 0700. Says why it cannot be used: in /tmp somebody else could have put it there. */
export function makePlace(place: string): string | null {
  if (Buffer.byteLength(join(place, LONGEST)) > SOCKET_PATH_MAX_BYTES)
    return `${place} is too long a path for Unix sockets; set XDG_RUNTIME_DIR to a shorter one`
  try {
    mkdirSync(place, { recursive: true, mode: 0o700 })
  } catch (error) {
    return `${(error as Error).message}; set XDG_RUNTIME_DIR to a folder of yours`
  }
  const { uid, mode } = statSync(place)
  if (uid === process.getuid!() && (mode & 0o077) === 0) return null
  const how = `owner ${uid}, mode ${(mode & 0o777).toString(8)}`
  return `${place} is not yours alone (${how}); remove it, or set XDG_RUNTIME_DIR to a folder of yours`
}

export function writeRecord(place: string, record: LabRecord): void {
  const path = recordIn(place)
  writeFileSync(`${path}.new`, JSON.stringify(record, null, 2) + '\n', { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

/** The lab that runs in this folder, or null: no record, or one left by a lab that was killed. */
export function readRecord(place: string): LabRecord | null {
  let record: LabRecord
  try {
    record = JSON.parse(readFileSync(recordIn(place), 'utf8')) as LabRecord
  } catch {
    return null
  }
  return startTime(record.initPid) === record.initStarted ? record : null
}

/** Removes the folder with all that is in it. */
export function removePlace(place: string): void {
  rmSync(place, { recursive: true, force: true })
}

/** Removes what a lab leaves in its folder, but for the log of a detached one: it may say why the lab ended. */
export function clearPlace(place: string): void {
  for (const path of [
    recordIn(place),
    apiSocketIn(place),
    controlSocketIn(place),
    authorityIn(place),
    ...FOLDERS.map((name) => join(place, name)),
  ])
    rmSync(path, { recursive: true, force: true })
}

/** Field 22 of /proc/PID/stat (proc(5)); null when there is no such process, or only its zombie. */
export function startTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' || fields[0] === 'X' ? null : fields[19]!
  } catch {
    return null
  }
}

/** sun_path of unix(7), less its final zero byte; the longest socket's name in the folder. */
const SOCKET_PATH_MAX_BYTES = 107
const LONGEST = 'dns/10.244.255.255.sock'
/** nodes, dns: sockets to ask for status; hosts: hosts files and the like of pods; volumes: theirs; run: where the lab's own /run is put together. */
const FOLDERS = ['nodes', 'dns', 'hosts', 'volumes', 'run', 'logs']
