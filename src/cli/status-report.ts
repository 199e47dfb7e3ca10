/** What an agent, or the DNS controller, says that a person should look at. */
import { nearLimit } from '../status/connections.ts'
import type { Report, TargetReport } from '../status/report.ts'

/** One line each. */
export function reportProblems({ sources, targets, faults, rejections, healthy, connections }: Report): string[] {
  const near = connections === null ? null : nearLimit(connections)
  return [
    ...(healthy ? [] : ['changes wait for longer than they may']),
    ...(near === null ? [] : [near]),
    ...sources.flatMap(({ kind, state, error }) => (error === null ? [] : `${kind}: ${state}: ${error}`)),
    ...targets.flatMap((target) => troublesOf(target)),
    ...faults.first.map(
      (fault) => `${fault}: this is a bug, please report it; the object has no effect until it changes`,
    ),
    ...more('faults', faults),
    ...rejections.first.map(({ object, field, problem, remedy }) => `${object}: ${field}: ${problem}: ${remedy}`),
    ...more('rejections', rejections),
  ]
}

function troublesOf({ name, error, drift, refused }: TargetReport): string[] {
  return [
    ...(error === null ? [] : [`${name}: ${error}`]),
    ...(drift === null || drift.clean ? [] : [`${name}: drift: ${drift.detail}`]),
    ...refused.first.map(({ key, reason, remedy }) => `${name}: ${key}: ${reason}: ${remedy}`),
    ...more(`refused rows of ${name}`, refused),
  ]
}

export function more(what: string, { count, first }: { count: number; first: readonly unknown[] }): string[] {
  return count > first.length ? [`... and ${count - first.length} more ${what}`] : []
}

/** 12s, 5m, 3h, 2d. */
export function ago(since: string, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(since)) / 1000))
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`
}
