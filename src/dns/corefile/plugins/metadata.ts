/** What is known of a query by label: `metadata`, and where labels are named. */
import type { Token } from '../lexer.ts'
import { once, plain } from '../options.ts'
import { quote, type Problems } from '../problem.ts'
import type { Parse, Sets, Setting } from '../setting.ts'
import type { Statement } from '../statement.ts'
import type { LogPart, MetadataKubernetes, Step } from '../step.ts'
import { zonesOr } from '../value.ts'

/** `metadata [ZONES...]` */
export const metadata: Parse = (directives, { problems, zones }) => {
  const directive = once(directives, problems)
  plain(directive, problems)
  return { plugin: 'metadata', zones: [...zonesOr(directive.args, zones, problems)], kubernetes: null }
}

/** Warns of a label that nothing here gives where it stands. `in`: the plugin that names it. */
export function warnOfLabel(label: string, at: Token, plugin: 'log' | 'rewrite', warnings: Problems): void {
  const known = plugin === 'log' ? [...OF_QUERY, ...OF_ANSWER] : OF_QUERY
  if (known.includes(label) || isClientLabel(label)) return
  if (OF_ANSWER.includes(label))
    warnings.report(at, `${quote(label)} is known only once there is an answer`, 'name it in log, or remove it')
  else warnings.unknown({ ...at, text: label }, 'label of metadata that is given here', known)
}

/** A label of CoreDNS's: both sides of a `/`. */
export const isLabel = (text: string): boolean => /^[^/{}]+\/[^{}]+$/.test(text)

/** Tells the `metadata` of these steps about the `kubernetes` beside it, and that one about clients that are asked for. */
export function withMetadata(
  steps: readonly Step[],
  of: (plugin: string) => readonly Statement[],
  { sets, warnings }: Pick<Setting, 'sets' | 'warnings'>,
): readonly Step[] {
  const step = steps.find(({ plugin }) => plugin === 'metadata')
  const named = steps.flatMap((each) => labelsOf(each).map((label) => ({ label, at: of(each.plugin)[0]?.name })))
  const missing = (wanted: (label: string) => boolean, problem: string, remedy: string): void => {
    const found = named.find(({ label }) => wanted(label))
    if (found?.at !== undefined) warnings.report(found.at, `${quote(found.label)} ${problem}`, remedy)
  }
  if (step?.plugin !== 'metadata') {
    missing(() => true, 'is not known without metadata', 'write metadata in the block of this server')
    return steps
  }
  const kubernetes = steps.find(({ plugin }) => plugin === 'kubernetes')
  const isCluster = (label: string): boolean => label.startsWith('kubernetes/')
  if (kubernetes?.plugin !== 'kubernetes') {
    missing(isCluster, 'is not known: there is no kubernetes in this server', 'write kubernetes in its block')
    return steps
  }
  const options = sets.kubernetes.find(({ set }) => set === kubernetes.set)!.options
  const wanted = named.map(({ label }) => label).filter((label) => label.startsWith(CLIENT))
  if (options.pods !== 'verified')
    missing((label) => wanted.includes(label), 'is not known of pods', 'write pods verified in kubernetes')
  const about: MetadataKubernetes = {
    zones: kubernetes.zones,
    multicluster: [...options.multicluster],
    clients: clientsOf(wanted, kubernetes.set, options.pods === 'verified', sets),
  }
  return steps.map((it) => (it === step ? { ...step, kubernetes: about } : it))
}

function clientsOf(wanted: readonly string[], set: string, verified: boolean, sets: Sets): string | null {
  if (wanted.length === 0 || !verified) return null
  return sets.addClients(
    set,
    wanted.filter(isClientLabel).map((label) => label.slice(CLIENT_LABEL.length)),
  )
}

/** The labels that a step names. */
function labelsOf(step: Step): readonly string[] {
  const labels = (parts: readonly (LogPart | { readonly metadata?: string })[]): readonly string[] =>
    parts.flatMap((part) => ('metadata' in part && part.metadata !== undefined ? [part.metadata] : []))
  if (step.plugin === 'log') return step.rules.flatMap(({ format }) => labels(format))
  if (step.plugin !== 'rewrite') return []
  return step.rules.flatMap(({ change }) => {
    if (change.field === 'name') return labels(change.to as readonly { readonly metadata?: string }[])
    return change.field === 'edns0' && change.option.kind === 'local' ? labels([change.option.data as object]) : []
  })
}

/** Its text of a TXT record is `KEY=VALUE`: 255 octets, of which a value has 63 at most. */
const isClientLabel = (label: string): boolean =>
  label.startsWith(CLIENT_LABEL) &&
  label.length > CLIENT_LABEL.length &&
  Buffer.byteLength(label) - CLIENT_LABEL.length <= KEY_MAX

const CLIENT = 'kubernetes/client-'
const CLIENT_LABEL = 'kubernetes/client-label/'
const KEY_MAX = 255 - 1 - 63
const OF_QUERY: readonly string[] = [
  'kubernetes/endpoint',
  'kubernetes/kind',
  'kubernetes/namespace',
  'kubernetes/port-name',
  'kubernetes/protocol',
  'kubernetes/service',
  'kubernetes/cluster',
  'kubernetes/parse-error',
  'kubernetes/client-namespace',
  'kubernetes/client-pod-name',
]
const OF_ANSWER: readonly string[] = ['forward/upstream', 'log/class', 'log/type']
