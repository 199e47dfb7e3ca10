/** How paths are read, and what is answered without a backend: rewrites, redirects, names of hosts. */
import { show } from '../../cluster/rejection.ts'
import type { Reader } from '../reader.ts'
import type { Settings } from '../settings.ts'
import { unknownVariable } from '../variables.ts'

export interface Routing {
  /** rewrite-target; null: the path goes on as it came. */
  readonly rewrite: string | null
  readonly useRegex: boolean
  readonly appRoot: string | null
  /** Instead of any backend. */
  readonly redirect: { readonly location: string; readonly status: number } | null
  /** Plain HTTP is sent to HTTPS: where the host has a `tls` section, or in any case. */
  readonly secure: 'never' | 'tls' | 'always'
  /** `www.HOST` leads to HOST, or the other way round. */
  readonly fromToWww: boolean
  readonly aliases: readonly string[]
  /** TLS is not ended here. */
  readonly passthrough: boolean
  /** Sent in X-Forwarded-Prefix. */
  readonly forwardedPrefix: string | null
}

export function parseRouting(read: Reader, settings: Settings): Routing {
  const useRegex = read.flag('use-regex', false)
  const isSecure = read.flag('ssl-redirect', settings.sslRedirect)
  const isForced = read.flag('force-ssl-redirect', settings.forceSslRedirect)
  read.flag('preserve-trailing-slash', true)
  read.changed('preserve-trailing-slash', 'a redirect to HTTPS always keeps the path as it is')
  return {
    rewrite: pathOf(read, 'rewrite-target'),
    useRegex,
    appRoot: pathOf(read, 'app-root'),
    redirect: parseRedirect(read),
    secure: isForced ? 'always' : isSecure ? 'tls' : 'never',
    fromToWww: read.flag('from-to-www-redirect', false),
    aliases: aliases(read),
    passthrough: passthrough(read, settings),
    forwardedPrefix: read.text('x-forwarded-prefix'),
  }
}

function pathOf(read: Reader, name: string): string | null {
  const path = read.text(name)
  if (path === null) return null
  // `$1` is a group; what may stand in a path besides is what nginx takes, and a query.
  if (/^\/?[-\w.~/:$?=&%+,@!*'()]*$/.test(path)) return path.startsWith('/') ? path : `/${path}`
  read.refuse(name, `is ${show(path)}, not a path; not used`, 'write a path like / or /$2')
  return null
}

/** ingress-nginx takes the temporal one when there are both. */
function parseRedirect(read: Reader): Routing['redirect'] {
  const [temporal, permanent] = [location(read, 'temporal-redirect'), location(read, 'permanent-redirect')]
  const permanentStatus = read.integer('permanent-redirect-code', [300, 308], 301)
  const temporalStatus = read.integer('temporal-redirect-code', [300, 308], 302)
  if (temporal !== null) return { location: temporal, status: temporalStatus }
  return permanent === null ? null : { location: permanent, status: permanentStatus }
}

function location(read: Reader, name: string): string | null {
  const url = read.text(name)
  if (url === null) return null
  const unknown = unknownVariable(url)
  if (/^https?:\/\/[^\s"'\\<>]+$/.test(url) && unknown === null) return url
  const problem =
    unknown === null
      ? `is ${show(url)}, not a URL; not done`
      : `has the variable ${unknown}, which is not known; not done`
  read.refuse(name, problem, 'write it like https://www.example.org/')
  return null
}

function aliases(read: Reader): readonly string[] {
  const found: string[] = []
  for (const alias of read.list('server-alias') ?? []) {
    const host = alias.toLowerCase()
    if (HOST.test(host)) found.push(host)
    else
      read.refuse(
        'server-alias',
        `has ${show(alias)}, not a host name; left out`,
        'write names, or *.NAME; patterns are not done',
      )
  }
  return found
}

function passthrough(read: Reader, settings: Settings): boolean {
  if (!read.flag('ssl-passthrough', false)) return false
  if (settings.passthrough) return true
  read.refuse(
    'ssl-passthrough',
    'is not enabled; TLS is ended here',
    'start the controller with --enable-ssl-passthrough',
  )
  return false
}

const HOST = /^(\*\.)?[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*$/
