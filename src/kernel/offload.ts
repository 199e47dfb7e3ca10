import { release } from 'node:os'
import { probeChecksums, type Probed } from './checksum-probe.ts'
import { describe, exec } from './exec.ts'

export interface Checksums {
  readonly kernel: string
  /**
   * False: a packet that is translated and wrapped in one go leaves with a wrong checksum where the interface was to compute
   * it, and is sent again for 63 s (kubernetes issue 88986, flannel issue 1279).
   */
  readonly isSound: boolean
  /** How that is known, for people. */
  readonly found: string
}

/** Linux 5.7 has the fix. Distributions brought it into older ones, so there it is tried; what cannot be tried is not trusted. */
export async function checksumOffload(
  kernel: string = release(),
  probe: () => Promise<Probed> = probeChecksums,
): Promise<Checksums> {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10))
  if (major > 5 || (major === 5 && minor >= 7)) return { kernel, isSound: true, found: 'Linux 5.7 or newer' }
  return { kernel, ...judge(await probe()) }
}

/** Of what a probe says. */
export function judge(probed: Probed): Pick<Checksums, 'isSound' | 'found'> {
  if (probed.kind === 'failed') return { isSound: false, found: `it could not be tried: ${probed.reason}` }
  const { seen, wrong } = probed
  if (seen === 0) return { isSound: false, found: 'it could not be tried: no packet arrived' }
  return { isSound: wrong === 0, found: `${wrong} of ${seen} packets arrived with a wrong checksum` }
}

/** Has checksums of a VXLAN device's packets computed before they are wrapped. Returns what went wrong; null: nothing. */
export async function computeChecksums(device: string, signal?: AbortSignal): Promise<string | null> {
  const result = await exec(['ethtool', '-K', device, 'tx-checksum-ip-generic', 'off'], signal ? { signal } : {})
  return result.kind === 'done' ? null : `ethtool: ${describe(result)}`
}
