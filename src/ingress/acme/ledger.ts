/** Accounts and records of certificates, kept in Secrets of the controller's namespace. */
import { accountName, emptyRecord, parseRecord, printRecord, recordName, type Account, type Record } from './record.ts'
import { LABEL, type Secrets, type StoredSecret } from './store.ts'

/** With the version it was read at: a write over somebody else's is refused. */
export interface Kept<T> {
  readonly value: T
  readonly version: string
}

/** What was read is not what is there any more: it is read again. */
export class Outdated extends Error {}

export class Ledger {
  readonly #secrets: Secrets
  readonly #namespace: string
  /** Of all certificates, as read or written last: what limits count. */
  readonly #records = new Map<string, Record>()

  constructor(secrets: Secrets, namespace: string) {
    this.#secrets = secrets
    this.#namespace = namespace
  }

  get records(): Iterable<Record> {
    return this.#records.values()
  }

  async load(signal: AbortSignal): Promise<void> {
    this.#records.clear()
    for (const { data } of await this.#secrets.list(this.#namespace, LABEL, 'order', signal)) {
      const record = parseRecord(data['record'])
      if (record !== null) this.#records.set(record.secret, record)
    }
  }

  async record(secret: string, signal: AbortSignal): Promise<Kept<Record>> {
    const stored = await this.#secrets.get(`${this.#namespace}/${recordName(secret)}`, signal)
    const found = parseRecord(stored?.data['record'])
    const record = found?.secret === secret ? found : emptyRecord(secret)
    this.#records.set(secret, record)
    return { value: record, version: stored?.version ?? '' }
  }

  async account(directory: string, signal: AbortSignal): Promise<Kept<Account> | null> {
    const stored = await this.#secrets.get(`${this.#namespace}/${accountName(directory)}`, signal)
    const key = stored?.data['tls.key']
    if (stored === null || key === undefined || key === '') return null
    return { value: { directory, key, url: stored.data['url'] || null }, version: stored.version }
  }

  async saveRecord(record: Record, version: string, signal: AbortSignal): Promise<Kept<Record>> {
    const stored = await this.#save(
      recordName(record.secret),
      'order',
      { record: printRecord(record) },
      version,
      signal,
    )
    this.#records.set(record.secret, record)
    return { value: record, version: stored.version }
  }

  /** The key lies where cert-manager keeps it: its account can be taken over. */
  async saveAccount({ directory, key, url }: Account, version: string, signal: AbortSignal): Promise<Kept<Account>> {
    const data = { 'tls.key': key, directory, url: url ?? '' }
    const stored = await this.#save(accountName(directory), 'account', data, version, signal)
    return { value: { directory, key, url }, version: stored.version }
  }

  async dropRecord(secret: string, signal: AbortSignal): Promise<void> {
    await this.#secrets.drop(`${this.#namespace}/${recordName(secret)}`, signal)
    this.#records.delete(secret)
  }

  async #save(
    name: string,
    kind: string,
    data: StoredSecret['data'],
    version: string,
    signal: AbortSignal,
  ): Promise<StoredSecret> {
    signal.throwIfAborted() // who leads no more writes no more
    const path = `${this.#namespace}/${name}`
    const secret = { path, type: 'Opaque', labels: { [LABEL]: kind }, annotations: {}, data, version }
    const stored = await this.#secrets.put(secret, signal)
    if (stored === null) throw new Outdated(`the Secret ${path} was changed meanwhile`)
    return stored
  }
}
