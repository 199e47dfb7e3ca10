/** Secrets of an API server. What is in them is in no log and no message. */
import { isUtf8 } from 'node:buffer'
import type { Connection } from '../../cluster/source/kube/connection.ts'
import { isRecord, type Raw } from '../../cluster/raw.ts'
import { KubeObjects, SECRETS } from '../kubeobjects.ts'
import type { Secrets, StoredSecret } from './store.ts'

export class KubeSecrets implements Secrets {
  readonly #objects: KubeObjects

  constructor(connection: Connection) {
    this.#objects = new KubeObjects(connection, SECRETS)
  }

  async get(path: string, signal: AbortSignal): Promise<StoredSecret | null> {
    const found = await this.#objects.get(path, signal)
    return found && storedOf(found)
  }

  /** Only what is said is changed: other keys, labels and annotations stay, whatever they are. */
  async put({ path, type, labels, annotations, data, version }: StoredSecret, signal: AbortSignal) {
    const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')])
    const said = { labels, annotations }
    const rest = { data: Object.fromEntries(encoded) as object }
    const [namespace, name] = path.split('/')
    const metadata = { namespace, name, ...said }
    const written =
      version === ''
        ? await this.#objects.create(path, { apiVersion: 'v1', kind: 'Secret', metadata, type, ...rest }, signal)
        : await this.#objects.patch(path, { metadata: { ...said, resourceVersion: version }, ...rest }, signal)
    return written && storedOf(written)
  }

  drop(path: string, signal: AbortSignal): Promise<void> {
    return this.#objects.drop(path, signal)
  }

  async list(namespace: string, label: string, value: string, signal: AbortSignal): Promise<readonly StoredSecret[]> {
    return (await this.#objects.list(namespace, label, value, signal)).map(storedOf)
  }
}

/** Of core/v1 Secret as JSON. A value that is no text is left out: nothing of ours is. */
function storedOf(raw: Raw): StoredSecret {
  const metadata = recordOf(raw['metadata'])
  const data: { [key in string]: string } = {}
  for (const [key, value] of Object.entries(recordOf(raw['data']))) {
    const octets = Buffer.from(typeof value === 'string' ? value : '', 'base64')
    if (isUtf8(octets)) data[key] = octets.toString('utf8')
  }
  return {
    path: `${String(metadata['namespace'])}/${String(metadata['name'])}`,
    type: typeof raw['type'] === 'string' ? raw['type'] : '',
    labels: textsOf(metadata['labels']),
    annotations: textsOf(metadata['annotations']),
    data,
    version: String(metadata['resourceVersion'] ?? ''),
  }
}

const recordOf = (value: unknown): Raw => (isRecord(value) ? value : {})

const textsOf = (value: unknown): { [name in string]: string } =>
  Object.fromEntries(
    Object.entries(recordOf(value)).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  )
