import { parseSelectorText, type Selector } from '../../../cluster/selector.ts'
import { isWithin } from '../../names.ts'
import { DEFAULT_OPTIONS, type NameOptions } from '../../options.ts'
import type { KubernetesApi } from '../configuration.ts'
import type { Token } from '../lexer.ts'
import { args, flag, once, options } from '../options.ts'
import { quote, type Problems } from '../problem.ts'
import { pathOf, type Parse, type Setting } from '../setting.ts'
import type { Statement } from '../statement.ts'
import { duration, number, oneOf, unique, zones, zonesOr } from '../value.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

interface Found {
  readonly options: Mutable<Omit<NameOptions, 'set'>>
  labels: Selector | null
  kubeconfig: { readonly kubeconfig: string; readonly context: string | null } | null
  endpoint: string | null
  tls: { readonly certificate: string; readonly key: string; readonly ca: string } | null
  ttl: number
  fallthrough: string[] | null
}

/** `kubernetes [ZONES...]` */
export const kubernetes: Parse = (directives, setting) => {
  const { problems } = setting
  const directive = once(directives, problems)
  const own = zonesOr(directive.args, setting.zones, problems)
  if (own.every((zone) => REVERSE.some((root) => isWithin(zone, root))))
    problems.report(directive.name, 'kubernetes has reverse zones only', 'give it a zone of names, as cluster.local')
  const found: Found = {
    options: { ...DEFAULT_OPTIONS, zones: own },
    labels: null,
    kubeconfig: null,
    endpoint: null,
    tls: null,
    ttl: 5,
    fallthrough: null,
  }
  options(directive, known(found, setting), problems)
  const { multicluster, namespaces, namespaceLabels } = found.options
  for (const zone of multicluster)
    if (!own.includes(zone)) {
      const remedy = `write kubernetes ${[...own, zone].join(' ')}`
      problems.report(directive.name, `the multicluster zone ${zone} is none of its zones`, remedy)
    }
  if (namespaces !== null && namespaceLabels !== null)
    problems.report(directive.name, 'namespaces and namespace_labels are both given', 'remove one of them')
  const api = apiOf(found, directive.name, setting)
  const set = setting.sets.addKubernetes({ options: found.options, labels: found.labels, api })
  return {
    plugin: 'kubernetes',
    set,
    zones: [...own],
    ttl: found.ttl,
    fallthrough: found.fallthrough,
    soa: {
      primary: 'ns.dns',
      mailbox: 'hostmaster',
      ttl: Math.min(found.ttl, SOA_TTL_MAX),
      refresh: 7200,
      retry: 1800,
      expire: 86_400,
      // How long a denial is kept (RFC 2308): as long as an answer, as CoreDNS has it.
      minimum: found.ttl,
    },
  }
}

/** As CoreDNS: a kubeconfig goes before an endpoint, and tls is of an endpoint only. */
function apiOf({ kubeconfig, endpoint, tls }: Found, at: Token, { warnings }: Setting): KubernetesApi | null {
  if (kubeconfig !== null) {
    if (endpoint !== null) warnings.report(at, 'endpoint has no effect beside kubeconfig', 'remove one of them')
    return kubeconfig
  }
  if (endpoint !== null) {
    const scheme = tls === null ? 'http' : 'https'
    return { endpoint: /^[a-z]+:\/\//.test(endpoint) ? endpoint : `${scheme}://${endpoint}`, tls }
  }
  if (tls !== null) warnings.report(at, 'tls has no effect without endpoint', 'add endpoint https://HOST:PORT')
  return null
}

function known(found: Found, setting: Setting): Readonly<Record<string, (line: Statement) => void>> {
  const { problems } = setting
  const word = (line: Statement): Token | undefined => args(line, 1, 1, problems)?.[0]
  return {
    ...reached(found, setting, word),
    namespaces: (line) => {
      const names = (args(line, 1, Infinity, problems) ?? []).map(({ text }) => text)
      if (names.length > 0)
        found.options.namespaces = [...unique([...(found.options.namespaces ?? []), ...names])].sort()
    },
    labels: (line) => (found.labels = selector(line, problems)),
    namespace_labels: (line) => (found.options.namespaceLabels = selector(line, problems)),
    pods: (line) => {
      const mode = word(line)
      const value = mode && oneOf(mode, 'mode of pods', ['disabled', 'insecure', 'verified'], problems)
      found.options.pods = value ?? found.options.pods
    },
    endpoint_pod_names: flag(() => (found.options.endpointPodNames = true), problems),
    ttl: (line) => {
      const value = word(line)
      found.ttl = (value && number(value, 'the TTL', 0, 3600, problems)) ?? found.ttl
    },
    noendpoints: flag(() => (found.options.noEndpoints = true), problems),
    fallthrough: (line) => (found.fallthrough = [...zonesOr(line.args, ['.'], problems)]),
    ignore: (line) => {
      const what = word(line)
      if (what && oneOf(what, 'thing to ignore', ['empty_service'], problems)) found.options.ignoreEmptyService = true
    },
    multicluster: (line) => {
      found.options.multicluster = unique(
        (args(line, 1, Infinity, problems) ?? []).flatMap((it) => zones(it, problems)),
      )
    },
    // Until the first list is there the answer is SERVFAIL, however long that takes.
    startup_timeout: (line) => {
      const value = word(line)
      if (value) duration(value, 'startup_timeout', 0, HOUR_MS, problems)
    },
    zonal: (line) => {
      problems.report(line.name, 'names of zones of nodes are not supported', 'remove the line')
    },
  }
}

/** How the API server is. */
function reached(
  found: Found,
  setting: Setting,
  word: (line: Statement) => Token | undefined,
): Readonly<Record<string, (line: Statement) => void>> {
  const { problems, warnings } = setting
  const ignored = (line: Statement): void => {
    const value = word(line)
    const amount = value && number(value, line.name.text, 0, 1_000_000, problems)
    if (typeof amount === 'number')
      warnings.report(line.name, `${line.name.text} has no effect here`, 'remove the line')
  }
  return {
    endpoint: (line) => {
      const [url, ...others] = args(line, 1, Infinity, problems) ?? []
      for (const other of others) warnings.report(other, 'only the first endpoint is used', 'remove the others')
      if (url && ENDPOINT.test(url.text)) found.endpoint = url.text.replace(/\/+$/, '')
      else if (url) problems.report(url, `${quote(url.text)} is no URL`, 'write https://HOST:PORT')
    },
    tls: (line) => {
      const files = args(line, 3, 3, problems)?.map((it) => pathOf(it, setting))
      if (files) found.tls = { certificate: files[0]!, key: files[1]!, ca: files[2]! }
    },
    kubeconfig: (line) => {
      const [file, context] = args(line, 1, 2, problems) ?? []
      if (file) found.kubeconfig = { kubeconfig: pathOf(file, setting), context: context?.text ?? null }
    },
    apiserver_qps: ignored,
    apiserver_burst: ignored,
    apiserver_max_inflight: ignored,
  }
}

/** The words of a line are one selector: `environment in (staging, qa),application=nginx`. */
function selector(line: Statement, problems: Problems): Selector | null {
  const words = args(line, 1, Infinity, problems)
  if (words === null) return null
  const found = parseSelectorText(words.map(({ text }) => text).join(' '))
  if (typeof found !== 'string') return found
  return problems.report(words[0]!, found.split(';')[0]!, 'write key=value, key!=value, key in (a,b), key or !key')
}

/** Without a scheme it is `https://` with tls, else `http://`, as client-go has it. */
const ENDPOINT = /^(https?:\/\/)?([^\s/:[\]]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(\/\S*)?$/
const REVERSE = ['in-addr.arpa.', 'ip6.arpa.']
/** As CoreDNS. */
const SOA_TTL_MAX = 300
const HOUR_MS = 3_600_000
