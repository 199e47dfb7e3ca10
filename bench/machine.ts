/** What the machine tells about itself and about CPU spent. Linux's /proc only. */
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { exec } from '../src/kernel/exec.ts'

export interface Cpu {
  readonly userMs: number
  readonly systemMs: number
}

/** Of all children of this process that have ended. */
export function childCpu(): Cpu {
  const fields = statOf('self')
  return { userMs: fields[13]! * TICK_MS, systemMs: fields[14]! * TICK_MS }
}

/** Seconds that a process has used, user and system; on demand with those of its children that have ended. */
export function cpuOf(pid: number, whose: 'alone' | 'and its children' = 'alone'): number {
  const [user = 0, system = 0, childUser = 0, childSystem = 0] = statOf(String(pid)).slice(11, 15)
  const ticks = user + system + (whose === 'alone' ? 0 : childUser + childSystem)
  return (ticks * TICK_MS) / 1000
}

export interface Busy {
  /** Seconds of all cores together that were not idle, soft interrupts and stolen time included. */
  readonly seconds: number
  readonly softirqSeconds: number
}

/** Starts to watch all cores; the function returned says how busy they were since. */
export function watchCpu(): () => Busy {
  const before = cpuTimes()
  const begun = performance.now()
  return () => {
    const now = cpuTimes()
    const idle = now.idle - before.idle
    return {
      seconds: ((performance.now() - begun) / 1000) * availableParallelism() - idle,
      softirqSeconds: now.softirq - before.softirq,
    }
  }
}

export interface Memory {
  readonly rssMB: number
  readonly peakMB: number
  /** Of the RSS, what belongs to this process alone: no pages of files. */
  readonly ownMB: number
  /** RSS of its children. */
  readonly helpersMB: number
}

export function memoryOf(pid: number): Memory {
  const status = statusOf(pid)
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean)
  return {
    rssMB: status['VmRSS']! / 1000,
    peakMB: status['VmHWM']! / 1000,
    ownMB: status['RssAnon']! / 1000,
    helpersMB: children.reduce((sum, each) => sum + (statusOf(Number(each))['VmRSS'] ?? 0), 0) / 1000,
  }
}

export interface Machine {
  readonly date: string
  readonly cpu: string
  readonly memoryGiB: number
  readonly kernel: string
  readonly node: string
  readonly nft: string
  readonly iptables: string
}

export async function describeMachine(): Promise<Machine> {
  const version = async (tool: string): Promise<string> => {
    const result = await exec([tool, '--version'])
    return result.kind === 'done' ? (/v?(\d+\.[\d.]+)/.exec(result.stdout)?.[1] ?? '?') : 'none'
  }
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: `${availableParallelism()} x ${cpus()[0]?.model.trim() ?? '?'}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: /^\d+\.\d+/.exec(release())?.[0] ?? release(),
    node: process.versions.node,
    nft: await version('nft'),
    iptables: await version('iptables-legacy'),
  }
}

/** Of the last minute. */
export const loadAverage = (): number => Math.round(loadavg()[0]! * 100) / 100

function cpuTimes(): { idle: number; softirq: number } {
  const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]!
  const [, , , idle, iowait, , softirq] = line.trim().split(/\s+/).slice(1).map(Number) as number[]
  const seconds = (ticks: number): number => (ticks * TICK_MS) / 1000
  return { idle: seconds(idle! + iowait!), softirq: seconds(softirq!) }
}

/** Numbers of /proc/PID/status, sizes in kB. */
function statusOf(pid: number): Record<string, number> {
  const fields = readFileSync(`/proc/${pid}/status`, 'utf8').matchAll(/^(\w+):\s+(\d+)/gm)
  return Object.fromEntries([...fields].map(([, name, number]) => [name!, Number(number)]))
}

/** Fields of /proc/PID/stat after the name: proc(5) counts them from 3. */
function statOf(pid: string): number[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number)
}

/** USER_HZ is 100 on every Linux that Node runs on. */
const TICK_MS = 10
