/** All that annotations of an Ingress say. */
import type { Ingress } from '../../cluster/ingress.ts'
import type { Rejection } from '../../cluster/rejection.ts'
import { Reader, type Verdict } from '../reader.ts'
import type { Settings } from '../settings.ts'
import { parseAccess, type Access } from './access.ts'
import { parseAnswering, type Answering } from './answering.ts'
import { parseCanary, type Canary } from './canary.ts'
import { parseProxying, type Proxying } from './proxying.ts'
import { parseRouting, type Routing } from './routing.ts'
import { parseSnippets, type Snippet } from './snippet.ts'
import { parseUpstream, type Upstream } from './upstream.ts'

export interface Annotations {
  readonly routing: Routing
  readonly proxying: Proxying
  readonly access: Access
  readonly upstream: Upstream
  readonly answering: Answering
  readonly snippet: Snippet
  /** null: the Ingress is none. */
  readonly canary: Canary | null
  /** Something that was to keep people out could not be understood: nobody gets in. */
  readonly isClosed: boolean
}

export interface Parsed {
  readonly annotations: Annotations
  readonly rejections: readonly Rejection[]
  /** For people who want to know before. Names without the prefix. */
  readonly verdicts: readonly Verdict[]
}

export function parseAnnotations(ingress: Omit<Ingress, 'published'>, settings: Settings): Parsed {
  const { namespace, name } = ingress
  const read = new Reader(ours(ingress.annotations), {
    object: `Ingress ${namespace}/${name}`,
    field: annotationField,
  })
  const canary = parseCanary(read)
  const parts = {
    routing: parseRouting(read, settings),
    proxying: parseProxying(read, settings),
    access: parseAccess(read, namespace, settings),
    upstream: parseUpstream(read, namespace, settings),
    answering: parseAnswering(read, namespace, settings),
    snippet: parseSnippets(read),
  }
  refuseWhole(read)
  if (canary !== null) {
    for (const annotation of ours(ingress.annotations).keys())
      if (!OF_CANARIES.test(annotation))
        read.changed(annotation, 'not read of a canary: it is as the Ingress has it that it takes a share of')
  }
  const verdicts = read.finish()
  return { annotations: { ...parts, canary, isClosed: read.closed }, rejections: read.rejections, verdicts }
}

/** What would take machinery of its own. ModSecurity only watches unless told otherwise: without it nothing is open that was not. */
function refuseWhole(read: Reader): void {
  for (const name of ['enable-modsecurity', 'enable-owasp-core-rules']) {
    if (read.flag(name, false)) read.refuse(name, 'is not done', 'put a web application firewall before or behind')
  }
  read.text('modsecurity-transaction-id')
  for (const name of [
    'global-rate-limit',
    'global-rate-limit-window',
    'global-rate-limit-key',
    'global-rate-limit-ignored-cidrs',
  ]) {
    if (read.text(name) !== null)
      read.refuse(name, 'needs a memcached of its own, and is not done', 'use limit-rps, which counts in each proxy')
  }
  for (const name of [
    'fastcgi-index',
    'fastcgi-params-configmap',
    'enable-influxdb',
    'influxdb-host',
    'influxdb-port',
    'influxdb-measurement',
    'influxdb-server-name',
  ]) {
    if (read.text(name) !== null) read.refuse(name, 'is not done', 'remove it')
  }
  for (const name of ['ssl-ciphers', 'ssl-prefer-server-ciphers']) {
    if (read.text(name) !== null) read.refuse(name, 'is the same for all hosts', 'use ssl-ciphers of the ConfigMap')
  }
}

function ours(annotations: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const found = [...annotations].filter(([name]) => name.startsWith(PREFIX))
  return new Map(found.map(([name, value]) => [name.slice(PREFIX.length), value]))
}

/** And, of all others, what chooses endpoints. */
const OF_CANARIES = /^(canary|affinity|session-cookie|load-balance$|upstream-hash-by)/

export const PREFIX = 'nginx.ingress.kubernetes.io/'
/** Where it stands. */
export const annotationField = (name: string): string => `metadata.annotations[${PREFIX}${name}]`
