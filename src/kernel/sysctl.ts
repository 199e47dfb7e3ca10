/** Settings of the kernel, by their path under /proc/sys (an interface's name may have dots). Reading one takes 10 microseconds. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Unset {
  readonly reason: string
  readonly remedy: string
}

/** null: there is no such setting, or it cannot be read. */
export function readSetting(path: string, root: string = SETTINGS): string | null {
  try {
    return readFileSync(join(root, path), 'utf8').trim()
  } catch {
    return null
  }
}

/** Returns why it could not be written; null: it was, or there is no such setting (as when its interface went away). */
export function writeSetting(path: string, value: string, root: string = SETTINGS): Unset | null {
  try {
    writeFileSync(join(root, path), value, { flag: 'r+' })
    return null
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return null
    const reason = `cannot be written: ${code === 'EROFS' ? '/proc/sys is mounted read-only' : (code ?? message)}`
    const remedy = `on the host: sysctl -w ${path}=${value}; or run the agent with /proc/sys writable (privileged)`
    return { reason, remedy }
  }
}

const SETTINGS = '/proc/sys'
