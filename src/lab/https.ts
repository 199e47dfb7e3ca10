/** Probes over TLS, by curl in the node's namespaces: the prober there speaks none. No certificate is looked at, as by the kubelet. */
import { describe, exec } from '../kernel/exec.ts'
import type { ProbeAnswer, ProbeRequest } from './prober.ts'

/** `enter`: start of a command line that runs what follows where the probe is to start. Never rejects. */
export async function askHttps(
  enter: readonly [string, ...string[]],
  { host, port, path = '/', headers = {}, timeoutMs }: ProbeRequest,
): Promise<ProbeAnswer> {
  const place = host.includes(':') ? `[${host}]` : host
  const url = `https://${place}:${port}${path.startsWith('/') ? '' : '/'}${path}`
  // A header without a value is written with a semicolon; curl would read `@file`, which no header's name begins with.
  const lines = Object.entries(headers).map(([name, value]) => (value === '' ? `${name};` : `${name}: ${value}`))
  if (lines.some((line) => line.startsWith('@'))) return { ok: false, detail: 'the name of a header begins with @' }
  const command = [
    ...[...enter, 'curl', '-q', '--silent', '--show-error', '--insecure', '--globoff', '--noproxy', '*'],
    ...['--max-time', String(timeoutMs / 1000), '--user-agent', 'kube-probe/fairlead'],
    ...['--output', '/dev/null', '--write-out', '%{http_code}', ...lines.flatMap((line) => ['--header', line])],
    ...['--url', url],
  ] as unknown as readonly [string, ...string[]]
  const result = await exec(command, { timeoutMs: timeoutMs + LATE_MS })
  if (result.kind === 'failed' && result.killedBy !== null)
    return { ok: false, detail: `timed out after ${timeoutMs} ms` }
  if (result.kind !== 'done') return { ok: false, detail: describe(result) }
  const code = Number(result.stdout)
  return code >= 200 && code < 400 ? { ok: true, detail: `${code}` } : { ok: false, detail: `HTTP ${code}` }
}

/** curl itself ends in time; this is for one that does not. */
const LATE_MS = 1000
