/** CoreDNS, built once from the Go module proxy into the cache. */
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder } from '../test/cluster/build.ts'
import { describe, exec } from '../src/kernel/exec.ts'

/** Path of the program; null: not built yet. */
export async function findCoreDns(): Promise<string | null> {
  const path = join(FOLDER(), 'coredns')
  return access(path).then(
    () => path,
    () => null,
  )
}

/** Builds it (some 3 minutes on 2 cores). Returns why that cannot be; null when it is there. */
export async function buildCoreDns(): Promise<string | null> {
  if ((await findCoreDns()) !== null) return null
  const result = await exec(['nice', 'go', 'install', '-ldflags', '-s -w', `github.com/coredns/coredns@v${VERSION}`], {
    env: { ...process.env, GOBIN: FOLDER(), CGO_ENABLED: '0' },
    timeoutMs: BUILD_MAX_MS,
  })
  return result.kind === 'done' ? null : describe(result)
}

export const VERSION = '1.15.0'
const FOLDER = (): string => join(cacheFolder(), `coredns-${VERSION}`)
const BUILD_MAX_MS = 20 * 60_000
