/** Hears what the runner's targets do, says it in the log, and remembers what status and metrics want to know. */
import type { Event } from '../core/progress.ts'
import type { Log } from './log.ts'

/** What one target did since the start. */
export interface Deeds {
  /** The last apply that succeeded; null: none yet. */
  last: { readonly put: number; readonly drop: number; readonly full: boolean; readonly seconds: number } | null
  /** null: no audit yet. */
  drift: { readonly clean: boolean; readonly detail: string } | null
  /** Times that somebody else's change, or drift, was repaired. */
  repairs: number
  failures: number
}

export class Observer {
  readonly #log: Log
  readonly #deeds = new Map<string, Deeds>()
  readonly #listeners: ((event: Event) => void)[] = []

  constructor(log: Log) {
    this.#log = log
  }

  /** For the runner's onEvent. */
  readonly hear = (event: Event): void => {
    remember(this.deeds(event.target), event)
    narrate(this.#log, event)
    for (const listener of this.#listeners) listener(event)
  }

  /** `listener` hears each event after it was remembered. */
  onEvent(listener: (event: Event) => void): void {
    this.#listeners.push(listener)
  }

  deeds(target: string): Readonly<Deeds> & Deeds {
    const known = this.#deeds.get(target)
    if (known) return known
    const none: Deeds = { last: null, drift: null, repairs: 0, failures: 0 }
    this.#deeds.set(target, none)
    return none
  }
}

function remember(deeds: Deeds, event: Event): void {
  switch (event.kind) {
    case 'applied':
      deeds.last = { put: event.put, drop: event.drop, full: event.from === 0, seconds: event.ms / 1000 }
      if (event.from === 0 && deeds.drift?.clean === false) deeds.drift = null // repaired; not looked again yet
      return
    case 'audited':
      deeds.drift = { clean: event.drift.clean, detail: event.drift.clean ? '' : event.drift.detail }
      return
    case 'recovering':
      deeds.repairs++
      return
    case 'failed':
      deeds.failures++
      return
    case 'refused':
    case 'audit failed':
    case 'stuck':
    case 'bug':
      return
    default:
      event satisfies never
  }
}

function narrate(log: Log, event: Event): void {
  const { target } = event
  switch (event.kind) {
    case 'applied': {
      const fields = { target, put: event.put, drop: event.drop, revision: event.to.number, ms: event.ms.toFixed(1) }
      if (event.from === 0) log.info('programmed from nothing', fields)
      else log.debug('programmed', fields)
      return
    }
    case 'refused':
      for (const { key, reason, remedy } of event.refused.slice(0, REFUSED_SAID_MAX))
        log.warn('refused', { target, key, reason, remedy })
      if (event.refused.length > REFUSED_SAID_MAX)
        log.warn('more was refused', { target, count: event.refused.length - REFUSED_SAID_MAX })
      return
    case 'failed':
      return log.warn('could not program', {
        target,
        error: event.error,
        retries: event.retries,
        retryInMs: event.retryInMs,
      })
    case 'audited':
      if (event.drift.clean) log.debug('audited', { target, ms: event.ms.toFixed(1) })
      else log.warn('drifted', { target, detail: event.drift.detail })
      return
    case 'audit failed':
      return log.warn('could not audit', { target, error: event.error })
    case 'recovering':
      return log.info('repairing', { target, reason: event.reason })
    case 'stuck':
      return log.error('does not end', { target, ms: event.ms })
    case 'bug':
      return log.error('this is a bug, please report it', { target, error: event.error, stack: event.error.stack })
    default:
      event satisfies never
  }
}

const REFUSED_SAID_MAX = 20
