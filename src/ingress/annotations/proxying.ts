/** How a request is sent on: times, sizes, buffers, what is tried again, copies. */
import { show } from '../../cluster/rejection.ts'
import type { Forward, Retry, Timeouts } from '../../carrier/proxy.ts'
import type { Reader } from '../reader.ts'
import type { Settings } from '../settings.ts'
import { hasVariable, unknownVariable } from '../variables.ts'
import { outerTarget, type OuterTarget } from './outer.ts'

export interface Proxying extends Pick<Forward, 'timeouts' | 'retry' | 'bufferRequest' | 'bufferResponseBytes'> {
  /** null: any. */
  readonly bodyMaxBytes: number | null
  /** upstream-vhost. */
  readonly host: string | null
  readonly mirror: Mirror | null
}

/** `as`: the Host that the copy is sent with, where that is another one. */
export interface Mirror extends OuterTarget {
  readonly as: string | null
  readonly withBody: boolean
}

/** Of `proxy-*`, which a ConfigMap and an Ingress both have, with the same names. */
export function parseProxying(read: Reader, settings: Pick<Settings, 'proxying'>): Proxying {
  const before = settings.proxying
  const size = read.size('proxy-body-size', before.bodyMaxBytes ?? 0)
  read.text('client-body-buffer-size')
  read.changed('client-body-buffer-size', 'bodies are streamed, and only buffered as proxy-request-buffering says')
  return {
    timeouts: timeouts(read, before.timeouts),
    retry: retry(read, before.retry),
    bodyMaxBytes: size === 0 ? null : size,
    bufferRequest: bufferRequest(read, before),
    bufferResponseBytes: bufferResponse(read, before),
    host: vhost(read),
    mirror: mirror(read),
  }
}

const timeouts = (read: Reader, before: Timeouts): Timeouts => ({
  connectMs: read.seconds('proxy-connect-timeout', before.connectMs),
  sendMs: read.seconds('proxy-send-timeout', before.sendMs),
  readMs: read.seconds('proxy-read-timeout', before.readMs),
  requestMs: before.requestMs,
})

/** Conditions of proxy_next_upstream: http://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_next_upstream */
function retry(read: Reader, before: Retry): Retry {
  const words = read.list('proxy-next-upstream', /\s+/)
  // nginx: 0 tries, or 0 seconds, are no limit.
  const tries = read.integer('proxy-next-upstream-tries', [0, 255], before.tries)
  const withinMs = read.seconds('proxy-next-upstream-timeout', before.withinMs)
  const found = { ...before, tries: tries === 0 ? 255 : tries, withinMs }
  if (words === null) return found
  const known = words.filter((word) => {
    if (RETRIED.test(word)) return true
    read.refuse(
      'proxy-next-upstream',
      `has ${show(word)}; left out`,
      'use error, timeout, invalid_header, http_503, non_idempotent, off',
    )
    return false
  })
  if (known.includes('off')) return { ...found, onError: false, onTimeout: false, onStatuses: [], tries: 1 }
  return {
    ...found,
    onError: known.includes('error') || known.includes('invalid_header'),
    onTimeout: known.includes('timeout'),
    onStatuses: known.flatMap((word) => (word.startsWith('http_') ? [Number(word.slice(5))] : [])),
    nonIdempotent: known.includes('non_idempotent'),
  }
}

function bufferRequest(read: Reader, before: Pick<Proxying, 'bufferRequest'>): boolean {
  const word = read.oneOf('proxy-request-buffering', ['on', 'off'], before.bufferRequest ? 'on' : 'off')
  return word === 'on'
}

/** nginx streams a response through one buffer when it does not buffer; else it keeps so many, and a file that we do without. */
function bufferResponse(read: Reader, before: Pick<Proxying, 'bufferResponseBytes'>): number {
  const word = read.oneOf('proxy-buffering', ['on', 'off'], before.bufferResponseBytes > 0 ? 'on' : 'off')
  const size = read.size('proxy-buffer-size', 4096)
  const number = read.integer('proxy-buffers-number', [1, 1024], 4)
  read.text('proxy-busy-buffers-size')
  read.text('proxy-max-temp-file-size')
  for (const name of ['proxy-max-temp-file-size', 'proxy-busy-buffers-size'])
    read.changed(name, 'responses are buffered in memory only, as proxy-buffers-number and proxy-buffer-size say')
  return word === 'on' ? Math.min(size * number, BUFFER_MAX) : 0
}

function vhost(read: Reader): string | null {
  const host = read.text('upstream-vhost')
  if (host === null) return null
  const unknown = unknownVariable(host)
  if (unknown === null && /^[-\w.:$[\]{}]+$/.test(host)) return host
  read.refuse(
    'upstream-vhost',
    unknown === null
      ? `is ${show(host)}, not a host; not used`
      : `has the variable ${unknown}, which is not known; not used`,
    'write it like internal.example.org',
  )
  return null
}

function mirror(read: Reader): Proxying['mirror'] {
  const url = read.text('mirror-target')
  const withBody = read.oneOf('mirror-request-body', ['on', 'off'], 'on') === 'on'
  const as = read.text('mirror-host')
  if (url === null) return null
  const target = outerTarget(url)
  if (target === null || hasVariable(target.host) || unknownVariable(url) !== null) {
    read.refuse(
      'mirror-target',
      `is ${show(url)}, not a URL with a plain host; nothing is mirrored`,
      'write it like https://test.example.org$request_uri',
    )
    return null
  }
  // `https://host/$request_uri` has one slash too many: $request_uri begins with its own.
  return { ...target, path: target.path.replace(/^\/\$request_uri/, '$request_uri'), as, withBody }
}

const RETRIED = /^(error|timeout|invalid_header|non_idempotent|off|http_(500|502|503|504|403|404|429))$/
const BUFFER_MAX = 64 * 1024 * 1024
