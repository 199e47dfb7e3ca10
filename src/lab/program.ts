/** Where the parts of Fairlead are that the lab starts. */
import { fileURLToPath } from 'node:url'

export const COMMAND = fileURLToPath(new URL('../../bin/fairlead', import.meta.url))
/** Compiled code, kept between starts. */
export const CACHE = fileURLToPath(new URL('../../.cache', import.meta.url))
export const INSIDE = fileURLToPath(new URL('./inside.ts', import.meta.url))
export { carrier as CARRIER } from '../kernel/carrier.ts'
