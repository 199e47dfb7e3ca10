/** Where the parts of Fairlead are that the lab starts. */
import { fileURLToPath } from 'node:url'

export const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))
/** Compiled code, kept between starts. */
export const CACHE = fileURLToPath(new URL('../../.cache', import.meta.url))
export const INSIDE = fileURLToPath(new URL('./inside.ts', import.meta.url))
export const CARRIER =
  process.env['FAIRLEAD_CARRIER'] ??
  fileURLToPath(new URL('../../native/target/release/fairlead-carrier', import.meta.url))
