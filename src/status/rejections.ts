import type { Rejection } from '../cluster/rejection.ts'
import { asTable, type Readable } from '../core/table.ts'
import type { Log } from './log.ts'

/** Status and Events say them while they last; the log says when each came. */
export function sayRejections(rejections: Readable<Rejection>, log: Log): void {
  let fresh: Rejection[] = []
  asTable(rejections).watch({
    changed(_, __, now) {
      if (now === undefined) return
      if (fresh.push(now) > 1) return
      setImmediate(() => {
        for (const rejection of fresh.slice(0, SAID_MAX)) log.warn('cannot be used', { ...rejection })
        if (fresh.length > SAID_MAX) log.warn('more cannot be used', { count: fresh.length - SAID_MAX })
        fresh = []
      })
    },
  })
}

const SAID_MAX = 20
