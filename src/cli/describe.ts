/** `fairlead describe`: all that is known of an object, for people: its fields, its conditions, and what was said about it. */
import type { Command } from 'commander'
import type { ApiObject, Fields } from '../lab/api/object.ts'
import { age } from '../lab/api/table.ts'
import { Failure } from './failure.ts'
import { connect, type Api } from './lab-client.ts'
import { findResource, pathOf, type Resource } from './resource.ts'

interface Options {
  readonly namespace: string
  readonly selector?: string
  readonly server?: string
}

export function register(program: Command): void {
  program
    .command('describe')
    .description('all about objects: fields, conditions, events (what the agents could not use is among them)')
    .argument('<kind>', 'KIND or KIND/NAME; short names work: po svc no eps deploy')
    .argument('[names...]', 'only these')
    .option('-n, --namespace <namespace>', 'namespace to look in', 'default')
    .option('-l, --selector <labels>', 'only objects with these labels, e.g. app=web')
    .option('-s, --server <url>', 'API server (unix:///path or http://host:port) instead of the cluster that runs here')
    .addHelpText('after', '\nExamples:\n  fairlead describe svc web\n  fairlead describe pods -l app=web')
    .action(describe)
}

async function describe(kind: string, names: readonly string[], options: Options): Promise<void> {
  const api = connect(options.server)
  const [word, ...slash] = kind.split('/')
  const only = slash.length > 0 ? [slash.join('/'), ...names] : names
  const resource = await findResource(api, word!)
  const objects = await fetch(api, resource, only, options)
  if (objects.length === 0) throw new Failure(`no ${resource.name} in namespace ${options.namespace}`)
  const { dump } = await import('js-yaml')
  const toYaml = (value: unknown): string => dump(value, { lineWidth: -1, noRefs: true })
  for (const [i, object] of objects.entries()) {
    const events = await eventsOf(api, resource, object)
    process.stdout.write(`${i === 0 ? '' : '\n\n'}${page(resource, object, events, toYaml)}`)
  }
}

async function fetch(api: Api, resource: Resource, names: readonly string[], options: Options): Promise<ApiObject[]> {
  const { namespace, selector } = options
  if (names.length > 0)
    return Promise.all(names.map((name) => api.must<ApiObject>({ path: pathOf(resource, namespace, name) })))
  const path = pathOf(resource, namespace)
  return (await api.must<{ items: ApiObject[] }>({ path, query: { labelSelector: selector } })).items
}

/** Events about objects without a namespace are kept in `default`. */
async function eventsOf(api: Api, { kind }: Resource, { metadata }: ApiObject): Promise<readonly Fields[]> {
  const events = { group: '', version: 'v1', name: 'events', kind: 'Event', namespaced: true }
  const fieldSelector = `involvedObject.kind=${kind},involvedObject.name=${metadata.name}`
  const path = pathOf(events, metadata.namespace ?? 'default')
  const { items } = await api.must<{ items: Fields[] }>({ path, query: { fieldSelector } })
  // One of the same name that was there before is none of this one's business; who knows no uid means this one.
  const about = items.filter(({ involvedObject: on }) => !on?.uid || !metadata.uid || on.uid === metadata.uid)
  return about.sort((a, b) => (timeOf(a) < timeOf(b) ? -1 : 1))
}

function page({ kind, group, version }: Resource, object: ApiObject, events: readonly Fields[], dump: Dump): string {
  const { metadata, status, apiVersion: _, kind: __, ...rest } = object
  const { conditions, ...state } = (status ?? {}) as Fields
  const owners = (metadata.ownerReferences ?? []).map((owner) => `${owner.kind}/${owner.name}`)
  const lines: readonly (readonly [string, string | undefined])[] = [
    ['Name', metadata.name],
    ['Namespace', metadata.namespace],
    ['Kind', `${kind} (${group === '' ? version : `${group}/${version}`})`],
    ['Age', age(metadata.creationTimestamp)],
    ['Ending since', metadata.deletionTimestamp && age(metadata.deletionTimestamp)],
    ['Labels', pairs(metadata.labels)],
    ['Annotations', pairs(metadata.annotations)],
    ['Controlled by', owners.length === 0 ? undefined : owners.join(', ')],
  ]
  const head = lines.map(
    ([title, value]) => value && `${`${title}:`.padEnd(HEAD)}${indented(value, HEAD).trimStart()}\n`,
  )
  const said = kind === 'Secret' ? { ...rest, data: sizes(rest['data']) } : rest
  const fields = Object.entries({ ...said, status: state }).map(([field, value]) => {
    const isEmpty = value === null || (typeof value === 'object' && Object.keys(value).length === 0)
    return isEmpty ? '' : `${field[0]!.toUpperCase()}${field.slice(1)}:\n${indented(dump(value), 2)}\n`
  })
  const text = [
    ...head,
    ...fields,
    section('Conditions', ['TYPE', 'STATUS', 'AGE', 'REASON', 'MESSAGE'], (conditions ?? []).map(conditionCells)),
    section('Events', ['TYPE', 'REASON', 'AGE', 'FROM', 'MESSAGE'], events.map(eventCells)) || 'Events: <none>\n',
  ]
  // eslint-disable-next-line no-control-regex -- what an object says must not steer the terminal
  return text.join('').replace(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/g, ' ')
}

const conditionCells = ({ type, status, lastTransitionTime, reason, message }: Fields): string[] =>
  [type, status, age(lastTransitionTime), reason, message].map((cell) => String(cell ?? ''))

const eventCells = (event: Fields): string[] => {
  const times = event['count'] > 1 ? ` (x${event['count']})` : ''
  const { type, reason, source, message } = event
  return [type, reason, `${age(timeOf(event))}${times}`, source?.component, message].map((cell) => String(cell ?? ''))
}

/** The last column is not cut: it says what to do. */
function section(title: string, header: readonly string[], rows: readonly string[][]): string {
  if (rows.length === 0) return ''
  const all = [header, ...rows].map((row) => row.map((cell) => cell.replaceAll('\n', ' ')))
  const widths = header.map((_, i) => Math.max(...all.map((row) => row[i]!.length)))
  const lines = all.map((row) => row.map((cell, i) => cell.padEnd(widths[i]!)).join('   '))
  return `${title}:\n${lines.map((line) => `  ${line.trimEnd()}\n`).join('')}`
}

const timeOf = (event: Fields): string => String(event['lastTimestamp'] ?? event['metadata']?.creationTimestamp ?? '')

const pairs = (map: Fields | undefined): string =>
  Object.entries(map ?? {})
    .filter(([key]) => key !== LAST_APPLIED)
    .map(([key, value]) => `${key}=${value}`)
    .join('\n') || '<none>'

/** Secrets are not for shoulders to look over. */
const sizes = (data: Fields | undefined): Fields =>
  Object.fromEntries(
    Object.entries(data ?? {}).map(([key, text]) => [key, `${Buffer.from(String(text), 'base64').length} bytes`]),
  )

const indented = (text: string, by: number): string => text.trimEnd().replaceAll(/^/gm, ' '.repeat(by))

type Dump = (value: unknown) => string
const HEAD = 16
/** The whole object once more. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'
