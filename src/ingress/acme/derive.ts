/** Which certificates are wanted of an ACME server, and what the proxy answers to challenges: what follows from objects. */
import { createHash } from 'node:crypto'
import type { Rejection } from '../../cluster/rejection.ts'
import type { Secret } from '../../cluster/secret.ts'
import { derive } from '../../core/derive.ts'
import { gather } from '../../core/gather.ts'
import type { Graph } from '../../core/graph.ts'
import type { Readable } from '../../core/table.ts'
import { union } from '../../core/union.ts'
import type { IngressOptions } from '../options.ts'
import { bySeniority, type Plan, type Seniority } from '../plan.ts'
import type { ProxyRow, SecretRow } from '../rows.ts'
import { parseAnswers, revisionOf, rowsOf } from './answers.ts'
import { NAMES_MAX, wantedOf, type Wanted } from './wanted.ts'

export interface Certificates {
  /** By path of the Secret, `namespace/name`. */
  readonly wanted: Readable<Held>
  readonly rejections: Readable<Rejection>
  /** What answers challenges, for the carrier's tables. */
  readonly proxy: Readable<ProxyRow>
  readonly secrets: Readable<SecretRow>
  /** One row, of the key '': what replicas say once that is in place. */
  readonly revision: Readable<string>
}

export interface Held {
  readonly wanted: Wanted
  /** Digest of the certificate that the Secret holds; '': none. Tells that somebody changed it. */
  readonly digest: string
}

interface Inputs {
  /** One row, of the key ''. */
  readonly options: Readable<IngressOptions>
  readonly plans: Readable<Plan>
  readonly secrets: Readable<Secret>
}

export function deriveCertificates(graph: Graph, { options, plans, secrets }: Inputs): Certificates {
  const asked = derive<Asked, Plan>(graph, {
    name: 'certificates by ingress',
    driver: plans,
    inputs: [options],
    rows: (key, { ingress }, read) => {
      const issuers = read.get(options, '')?.acme?.issuers
      if (issuers === undefined) return []
      const { wanted, rejections } = wantedOf(ingress, issuers)
      const { created } = ingress
      return wanted.length + rejections.length === 0 ? [] : [[key, { created, ingress: key, wanted, rejections }]]
    },
  })
  const merged = gather<Merged, Asked, Part>(graph, {
    name: 'certificates by secret',
    driver: asked,
    parts: (_, { created, ingress, wanted }) => wanted.map((each) => [each.secret, { created, ingress, wanted: each }]),
    row: (_, parts) => merge(parts),
  })
  const wanted = derive<Held, Merged>(graph, {
    name: 'certificates to order',
    driver: merged,
    inputs: [secrets],
    rows: (key, row, read) => [[key, { wanted: row.wanted, digest: digestOf(read.get(secrets, key)) }]],
  })
  const complaints = <In extends { readonly rejections: readonly Rejection[] }>(driver: Readable<In>) =>
    derive<Rejection, In>(graph, {
      name: `rejections of ${driver.name}`,
      driver,
      inputs: [],
      rows: (key, { rejections }) => rejections.map((each, i) => [`${driver.name} ${key} ${i}`, each]),
    })
  return {
    wanted,
    rejections: union('certificate rejections', [complaints(asked), complaints(merged)]),
    ...deriveAnswers(graph, options, secrets),
  }
}

interface Asked extends Seniority {
  readonly wanted: readonly Wanted[]
  readonly rejections: readonly Rejection[]
}

interface Part extends Seniority {
  readonly wanted: Wanted
}

interface Merged {
  readonly wanted: Wanted
  readonly rejections: readonly Rejection[]
}

/** Of several Ingresses that name one Secret the oldest says how; the certificate is for the names of all that ask the same issuer. */
function merge(parts: readonly Part[]): Merged {
  const [first, ...others] = [...parts].sort(bySeniority) as [Part, ...Part[]]
  const names = new Set(first.wanted.names)
  const rejections: Rejection[] = []
  for (const { ingress, wanted } of others) {
    const reject = (problem: string, remedy: string): unknown =>
      rejections.push({ object: `Ingress ${ingress}`, field: 'spec.tls', problem, remedy })
    const { issuer } = first.wanted
    if (wanted.issuer.name !== issuer.name)
      reject(
        `asks ${wanted.issuer.name} for the Secret ${wanted.secret}, which Ingress ${first.ingress}, which goes first, asks ${issuer.name} for; not asked`,
        'ask the same issuer, or name another Secret',
      )
    else if (new Set([...names, ...wanted.names]).size > NAMES_MAX)
      reject(
        `would make more than ${NAMES_MAX} names of the certificate ${wanted.secret}; those of this Ingress are left out`,
        'name another Secret',
      )
    else for (const name of wanted.names) names.add(name)
  }
  return { wanted: { ...first.wanted, names: [...names].sort() }, rejections }
}

function deriveAnswers(
  graph: Graph,
  options: Readable<IngressOptions>,
  secrets: Readable<Secret>,
): Pick<Certificates, 'proxy' | 'secrets' | 'revision'> {
  const answers = derive<string, IngressOptions>(graph, {
    name: 'answers to challenges',
    driver: options,
    inputs: [secrets],
    rows: (_, { acme }, read) => {
      const text = acme === null ? undefined : read.get(secrets, acme.answers)?.data.get('answers')
      return text === undefined ? [] : [['', text]]
    },
  })
  const of = <Row>(name: string, rows: (text: string) => Iterable<readonly [string, Row]>): Readable<Row> =>
    derive<Row, string>(graph, { name, driver: answers, inputs: [], rows: (_, text) => rows(text) })
  return {
    proxy: of('thumbprints', (text) => rowsOf(parseAnswers(text)).proxy),
    secrets: of('challenge certificates', (text) => rowsOf(parseAnswers(text)).secrets),
    revision: of('revision of the answers', (text) => [['', revisionOf(text)]]),
  }
}

function digestOf(secret: Secret | undefined): string {
  const { data } = secret ?? {}
  const pair = [data?.get('tls.crt'), data?.get('tls.key')]
  if (pair.every((text) => !text)) return ''
  return createHash('sha256').update(JSON.stringify(pair)).digest('hex').slice(0, 16)
}
