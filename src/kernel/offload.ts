import { release } from 'node:os'
import { describe, exec } from './exec.ts'

export interface Checksums {
  readonly kernel: string
  /**
   * False before Linux 5.7: a packet that is translated and wrapped in one go leaves with a wrong checksum where the interface
   * was to compute it, and is sent again for 63 s (kubernetes issue 88986, flannel issue 1279).
   */
  readonly isSound: boolean
}

/** By the kernel's version: telling by a probe takes a packet through the interface of a node that has peers. */
export function checksumOffload(kernel: string = release()): Checksums {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10))
  return { kernel, isSound: major > 5 || (major === 5 && minor >= 7) }
}

/** Has checksums of a VXLAN device's packets computed before they are wrapped. Returns what went wrong; null: nothing. */
export async function computeChecksums(device: string, signal?: AbortSignal): Promise<string | null> {
  const result = await exec(['ethtool', '-K', device, 'tx-checksum-ip-generic', 'off'], signal ? { signal } : {})
  return result.kind === 'done' ? null : `ethtool: ${describe(result)}`
}
