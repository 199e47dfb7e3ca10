import { fileURLToPath } from 'node:url'

/** Where the native binary is: beside the sources, unless FAIRLEAD_CARRIER says otherwise (as in an image). */
export const carrier: string =
  process.env['FAIRLEAD_CARRIER'] ??
  fileURLToPath(new URL('../../native/target/release/fairlead-carrier', import.meta.url))
