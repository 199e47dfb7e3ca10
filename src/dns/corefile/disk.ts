import { readdirSync, readFileSync, statSync } from 'node:fs'
import { hostname, networkInterfaces } from 'node:os'
import { env } from 'node:process'
import { parseAddress } from '../../cluster/address.ts'
import { FILE_MAX, type Access, type Unreadable } from './access.ts'

/** This machine's files, variables and devices. */
export const disk: Access = {
  read: (path) => {
    try {
      const found = statSync(path)
      if (found.isDirectory()) return { unreadable: 'folder' }
      if (!found.isFile()) return { unreadable: 'denied' }
      return found.size > FILE_MAX ? { unreadable: 'large' } : { text: readFileSync(path, 'utf8') }
    } catch (error) {
      return { unreadable: reasonOf(error) }
    }
  },
  list: (folder) => {
    try {
      return readdirSync(folder)
    } catch (error) {
      reasonOf(error)
      return []
    }
  },
  env: (name) => env[name],
  interfaces: () =>
    Object.entries(networkInterfaces()).map(([name, addresses = []]) => ({
      name,
      addresses: addresses.map(({ address }) => parseAddress(address.replace(/%.*$/s, ''))).filter((it) => it !== null),
    })),
  hostname,
}

/** What the file system said; anything else is a bug. */
function reasonOf(error: unknown): Unreadable['unreadable'] {
  const code = error instanceof Error && 'code' in error ? error.code : null
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ENAMETOOLONG':
      return 'missing'
    case 'EISDIR':
      return 'folder'
    case 'EACCES':
    case 'EPERM':
    case 'ELOOP':
    case 'EIO':
      return 'denied'
    default:
      throw error
  }
}
