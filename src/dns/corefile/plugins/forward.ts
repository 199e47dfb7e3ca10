import { parseAddress } from '../../../cluster/address.ts'
import type { Token } from '../lexer.ts'
import { args, flag, options } from '../options.ts'
import { quote, type Problems } from '../problem.ts'
import { resolvConf } from '../resolvconf.ts'
import { pathOf, type Parse, type Setting } from '../setting.ts'
import type { Statement } from '../statement.ts'
import type { Step, Upstream } from '../step.ts'
import { address, domain, duration, number, oneOf, rcode, unique, zones } from '../value.ts'

type Forward = Extract<Step, { readonly plugin: 'forward' }>

/** `forward FROM TO...`; several of them are asked one after the other. */
export const forward: Parse = (directives, setting) =>
  directives.map((directive) => one(directive, setting)).filter((step) => step !== null)

function one(directive: Statement, setting: Setting): Forward | null {
  const { problems } = setting
  const [from, ...to] = args(directive, 2, Infinity, problems) ?? []
  if (from === undefined) return null
  const [zone, ...others] = zones(from, problems)
  if (others.length > 0)
    problems.report(from, `${quote(from.text)} is ${others.length + 1} zones`, 'write a forward for each of them')
  const step: Forward = { plugin: 'forward', from: zone ?? '.', upstreams: [], ...DEFAULTS }
  const name = readOptions(directive, step, setting)
  const upstreams = to.flatMap((word) => upstreamsOf(word, setting))
  if (upstreams.length > UPSTREAMS_MAX)
    problems.report(to[0]!, `there are ${upstreams.length} upstreams`, `give at most ${UPSTREAMS_MAX}`)
  for (const [i, { serverName }] of upstreams.entries())
    if (serverName !== null && name !== null) {
      problems.report(
        to[Math.min(i, to.length - 1)]!,
        'the server name is given twice',
        'remove it here, or tls_servername',
      )
      break
    }
  if (step.maxAgeMs !== null && step.maxAgeMs < step.expireMs)
    problems.report(directive.name, 'max_age is less than expire', 'make it longer, or expire shorter')
  const named = (it: Upstream): Upstream => (it.transport === 'tls' && name !== null ? { ...it, serverName: name } : it)
  step.upstreams = [...new Map(upstreams.map((it) => [JSON.stringify(it), named(it)])).values()]
  return step
}

/** Gives what `tls_servername` says. */
function readOptions(directive: Statement, step: Forward, setting: Setting): string | null {
  const { problems } = setting
  let serverName: string | null = null
  const word = (line: Statement): Token | undefined => args(line, 1, 1, problems)?.[0]
  options(
    directive,
    {
      ...bounds(step, word, problems),
      ...rcodes(step, problems),
      except: (line) => {
        const found = (args(line, 1, Infinity, problems) ?? []).flatMap((it) => zones(it, problems))
        step.except = [...unique([...step.except, ...found])]
      },
      force_tcp: flag(() => (step.forceTcp = true), problems),
      prefer_udp: flag(() => (step.preferUdp = true), problems),
      next_on_nodata: flag(() => (step.nextOnNodata = true), problems),
      failfast_all_unhealthy_upstreams: flag(() => (step.failFast = true), problems),
      policy: (line) => {
        const found = word(line)
        const value = found && oneOf(found, 'policy of forward', ['random', 'round_robin', 'sequential'], problems)
        step.policy = value ?? step.policy
      },
      tls: (line) => {
        const files = (args(line, 0, 3, problems) ?? []).map((it) => pathOf(it, setting))
        const [certificate = null, key = null] = files.length >= 2 ? files : []
        step.tls = { certificate, key, ca: (files.length === 1 ? files[0] : files[2]) ?? null }
      },
      tls_servername: (line) => void (serverName = word(line)?.text.toLowerCase() ?? null),
      health_check: (line) => healthCheck(line, step, setting),
      source_address: (line) => {
        const found = word(line)
        if (found) step.sourceAddress = address(found, 'source_address', problems)
      },
      doh_method: ({ name }) => void problems.report(name, 'doh_method is not supported', 'remove it, and use tls://'),
      resolver: ({ name }) =>
        void problems.report(name, 'resolver is not supported', 'give upstreams by their addresses'),
    },
    problems,
  )
  return serverName
}

type Line = (line: Statement) => void

function bounds(
  step: Forward,
  word: (line: Statement) => Token | undefined,
  problems: Problems,
): Readonly<Record<string, Line>> {
  const time =
    (set: (value: number) => void, min: number, max: number): Line =>
    (line) => {
      const found = word(line)
      const value = found && duration(found, line.name.text, min, max, problems)
      if (value !== undefined && value !== null) set(value)
    }
  const count =
    (set: (value: number) => void): Line =>
    (line) => {
      const found = word(line)
      const value = found && number(found, line.name.text, 0, COUNT_MAX, problems)
      if (value !== undefined && value !== null) set(value)
    }
  // Zero is no bound, as in CoreDNS; for the attempts the carrier knows it as such.
  return {
    expire: time((value) => (step.expireMs = value), 0, DAY_MS),
    max_age: time((value) => (step.maxAgeMs = value || null), 0, DAY_MS),
    read_timeout: time((value) => (step.readTimeoutMs = value), 1, MINUTE_MS),
    max_fails: count((value) => (step.maxFails = value)),
    max_connect_attempts: count((value) => (step.maxConnectAttempts = value)),
    max_idle_conns: count((value) => (step.maxIdleConnections = value || null)),
    max_concurrent: count((value) => (step.maxConcurrent = value || null)),
  }
}

function rcodes(step: Forward, problems: Problems): Readonly<Record<string, Line>> {
  const list =
    (field: 'next' | 'failover'): Line =>
    (line) => {
      const found = (args(line, 1, Infinity, problems) ?? [])
        .map((it) => rcode(it, problems))
        .filter((it) => it !== null)
      if (field === 'failover' && found.includes(0)) problems.report(line.name, 'NOERROR is no failure', 'remove it')
      step[field] = [...unique([...step[field], ...found])]
    }
  return { next: list('next'), failover: list('failover') }
}

/** `health_check DURATION [no_rec] [domain NAME]` */
function healthCheck(line: Statement, step: Forward, { problems }: Setting): void {
  const [interval, ...rest] = args(line, 1, 4, problems) ?? []
  const intervalMs = interval && duration(interval, 'health_check', 1, HOUR_MS, problems)
  const check = { ...step.healthCheck, intervalMs: intervalMs ?? step.healthCheck.intervalMs }
  for (let i = 0; i < rest.length; i++) {
    const option = oneOf(rest[i]!, 'option of health_check', ['no_rec', 'domain'], problems)
    if (option === 'no_rec') check.recursionDesired = false
    if (option !== 'domain') continue
    const name = rest[++i]
    if (name === undefined) problems.report(line.name, 'domain has no name after it', 'write domain NAME')
    else check.domain = domain(name, problems) ?? check.domain
  }
  step.healthCheck = check
}

/** `10.0.0.1`, `tls://9.9.9.9%dns.quad9.net:853`, `[fd00::1]:53`, `fe80::1%eth0`, or the servers of a resolv.conf. */
function upstreamsOf(word: Token, setting: Setting): readonly Upstream[] {
  const { problems } = setting
  const scheme = /^([a-z0-9]+):\/\//.exec(word.text)?.[1] ?? 'dns'
  if (scheme !== 'dns' && scheme !== 'tls') {
    problems.report(word, `upstreams over ${quote(scheme)} are not supported`, 'use dns:// or tls://')
    return []
  }
  const rest = word.text.replace(/^[a-z0-9]+:\/\//, '')
  const found = parseUpstream(rest, scheme)
  if (found !== null) return [found]
  if (
    /^[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.?(?::[0-9]+)?$/.test(rest) &&
    !('text' in setting.access.read(pathOf(word, setting)))
  ) {
    problems.report(
      word,
      `${quote(word.text)} is a name, or a file that is not there`,
      'give the address of the upstream',
    )
    return []
  }
  const file = resolvConf({ ...word, text: rest }, setting)
  if (file === null) return []
  const servers = file.servers.map((server) => parseUpstream(server, 'dns')).filter((it) => it !== null)
  if (servers.length === 0) problems.report(word, `${quote(rest)} names no server`, 'add a nameserver line there')
  return servers
}

/** Null: no address. What follows `%` is the server's name for TLS, else the interface of a link-local address. */
function parseUpstream(text: string, transport: 'dns' | 'tls'): Upstream | null {
  const match =
    /^\[([^\]%]+)(?:%([^\]]+))?\](?::([0-9]{1,5}))?$/.exec(text) ??
    /^([0-9.]+)(?:%([^:]+))?(?::([0-9]{1,5}))?$/.exec(text) ??
    /^([0-9A-Fa-f:]+)(?:%([^:]+)(?::([0-9]{1,5}))?)?$/.exec(text)
  const found = parseAddress(match?.[1])
  const port = Number(match?.[3] ?? (transport === 'tls' ? 853 : 53))
  if (match === null || found === null || port < 1 || port > 65_535) return null
  const zone = match[2]
  if (zone === undefined) return { transport, address: found, port, serverName: null }
  if (transport === 'tls') return { transport, address: found, port, serverName: zone.toLowerCase() }
  return /^fe[89ab]/.test(found) ? { transport, address: `${found}%${zone}`, port, serverName: null } : null
}

const DEFAULTS = {
  except: [],
  policy: 'random',
  forceTcp: false,
  preferUdp: false,
  expireMs: 10_000,
  maxAgeMs: null,
  maxIdleConnections: null,
  readTimeoutMs: 2000,
  maxFails: 2,
  maxConnectAttempts: null,
  healthCheck: { intervalMs: 500, recursionDesired: true, domain: '.' },
  maxConcurrent: null,
  next: [],
  nextOnNodata: false,
  failover: [],
  failFast: false,
  sourceAddress: null,
  tls: { certificate: null, key: null, ca: null },
} satisfies Partial<Forward>
const UPSTREAMS_MAX = 15
const COUNT_MAX = 4_294_967_295
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
