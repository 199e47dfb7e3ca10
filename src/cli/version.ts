import { readFileSync } from 'node:fs'

/** Of package.json, e.g. `0.1.0`. */
export const version: string = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version
