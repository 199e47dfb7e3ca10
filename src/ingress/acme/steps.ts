/** Takes the steps that are decided (next.ts). Each is safe to be cut anywhere, and to be taken again by somebody else. */
import { createHash } from 'node:crypto'
import { withBegun } from './budget.ts'
import { certificateOf, secretOf } from './certificate.ts'
import { newKey, type Challenge, type Directory } from './directory.ts'
import { Ledger, Outdated, type Kept } from './ledger.ts'
import {
  askRenewalAgainAt,
  lookAgainAt,
  nothingSeen,
  type Certificate,
  type Known,
  type Seen,
  type Step,
} from './next.ts'
import type { Publisher } from './publisher.ts'
import { recent, type Account, type Record } from './record.ts'
import { leafOf } from './renewal.ts'
import { whyNotInPlace } from './replicas.ts'
import type { Solver } from './solver.ts'
import type { StoredSecret } from './store.ts'
import type { SecretKey, Wanted } from './wanted.ts'
import type { World } from './world.ts'

/** A replica does not answer yet: the server is not told, so that no try is lost. */
export class NotInPlace extends Error {}

/** What is known of one certificate, as it was read before this step. */
export interface Read extends Known {
  readonly version: string
  readonly accountVersion: string
  readonly secret: StoredSecret | null
  readonly certificate: Certificate
}

export class Steps {
  readonly #world: World
  readonly #ledger: Ledger
  readonly #publisher: Publisher
  /** Two certificates of one new account register it once. */
  readonly #registering = new Map<string, Promise<unknown>>()

  constructor(world: World, ledger: Ledger, publisher: Publisher) {
    this.#world = world
    this.#ledger = ledger
    this.#publisher = publisher
  }

  async read(wanted: Wanted, seen: Seen, signal: AbortSignal): Promise<Read> {
    const { directory } = wanted.issuer
    const [record, account, secret] = await Promise.all([
      this.#ledger.record(wanted.secret, signal),
      this.#ledger.account(directory, signal),
      this.#world.secrets.get(wanted.secret, signal),
    ])
    return {
      ...{ wanted, seen, secret, record: record.value, version: record.version },
      ...{ account: account?.value ?? null, accountVersion: account?.version ?? '' },
      ...{ certificate: certificateOf(secret, wanted), now: this.#world.clock.now() },
      others: [...this.#ledger.records].filter((other) => other.secret !== wanted.secret),
    }
  }

  /** Gives what is seen afterwards. Rejects with what went wrong. */
  async take(
    step: Exclude<Step, { do: 'wait' | 'refuse' | 'abandon' }>,
    read: Read,
    signal: AbortSignal,
  ): Promise<Seen> {
    const { wanted, record, seen } = read
    const { clock } = this.#world
    const order = record.order
    switch (step.do) {
      case 'register':
        await this.#registerOnce(read, signal)
        return seen
      case 'begin': {
        const key = await newKey(wanted.keyType)
        const { directory } = wanted.issuer
        const begun = { url: null, directory, names: wanted.names, key, replaces: step.replaces }
        await this.#ledger.saveRecord({ ...withBegun(record, clock.now()), order: begun }, read.version, signal)
        return { ...seen, order: null, lookAt: 0, presented: new Set(), asked: new Set() }
      }
      case 'order': {
        const directory = await this.#open(read)
        const url = await directory.order(order!.names, { replaces: order!.replaces, profile: wanted.issuer.profile })
        await this.#ledger.saveRecord({ ...record, order: { ...order!, url } }, read.version, signal)
        return { ...seen, order: null, lookAt: 0 }
      }
      case 'look': {
        const view = await (await this.#open(read)).look(order!.url!)
        if (view === null) {
          await this.abandon(read, record.failure, signal)
          return { ...nothingSeen, info: seen.info, infoAt: seen.infoAt }
        }
        return { ...seen, order: view, lookAt: lookAgainAt(clock.now(), view.retryAfterMs) }
      }
      case 'present':
        await this.#present(await this.#open(read), step.challenges, wanted, signal)
        return { ...seen, presented: new Set([...seen.presented, ...step.challenges.map(({ url }) => url)]) }
      case 'ask': {
        const directory = await this.#open(read)
        for (const challenge of step.challenges) await directory.ask(challenge)
        const asked = new Set([...seen.asked, ...step.challenges.map(({ url }) => url)])
        return { ...seen, asked, order: null, lookAt: lookAgainAt(clock.now(), FIRST_LOOK_MS) }
      }
      case 'finalize':
        await (await this.#open(read)).finalize(order!.url!, order!.names, order!.key)
        return { ...seen, order: null, lookAt: lookAgainAt(clock.now(), FIRST_LOOK_MS) }
      case 'store':
        await this.#store(await this.#open(read), read, signal)
        return nothingSeen
      case 'askRenewal': {
        const info = await (await this.#open(read)).renewalInfo(step.certId)
        return { ...seen, info, infoAt: askRenewalAgainAt(clock.now(), info) }
      }
      default:
        return step satisfies never
    }
  }

  /** The order is no more; `failure`: what is remembered of it. */
  async abandon({ record, version, wanted }: Read, failure: Record['failure'], signal: AbortSignal): Promise<void> {
    await this.#ledger.saveRecord({ ...record, order: null, failure }, version, signal)
    await this.withdraw(wanted.secret, wanted, signal)
  }

  /** What was asked for without success is asked for without its `replaces`. */
  async withoutReplaces({ record, version }: Read, signal: AbortSignal): Promise<void> {
    await this.#ledger.saveRecord({ ...record, order: { ...record.order!, replaces: null } }, version, signal)
  }

  /** The server does not know the account (any more): it is registered again, with the same key. */
  async forgetAccount({ account, accountVersion }: Read, signal: AbortSignal): Promise<void> {
    if (account !== null) await this.#ledger.saveAccount({ ...account, url: null }, accountVersion, signal)
  }

  /** `wanted`: null when it is not any more; then records of dns-01 cannot be taken away, and stay. */
  async withdraw(secret: string, wanted: Wanted | null, signal: AbortSignal): Promise<void> {
    const answer = this.#publisher.answers.orders[secret]
    if (answer === undefined) return
    if (answer.records.length > 0 && wanted?.issuer.dns)
      await (await this.#solver(wanted, signal)).remove(answer.records, signal)
    await this.#publisher.drop(secret, signal)
  }

  #registerOnce(read: Read, signal: AbortSignal): Promise<unknown> {
    const { directory } = read.wanted.issuer
    const under = this.#registering.get(directory)
    if (under !== undefined) return under
    const made = this.#register(read.wanted, signal).finally(() => this.#registering.delete(directory))
    this.#registering.set(directory, made)
    return made
  }

  async #register({ issuer }: Wanted, signal: AbortSignal): Promise<void> {
    const { directory } = issuer
    let kept: Kept<Account> | null = await this.#ledger.account(directory, signal)
    // The key comes first: an account whose key is lost is lost.
    kept ??= await this.#ledger.saveAccount({ directory, key: await newKey('P-256'), url: null }, '', signal)
    if (kept.value.url !== null) return
    const binding = issuer.binding && {
      kid: issuer.binding.kid,
      hmacKey: await this.#secretValue(issuer.binding.hmac, signal),
    }
    const opened = this.#world.open({
      url: directory,
      key: kept.value.key,
      account: null,
      challenge: issuer.challenge,
      binding,
    })
    const url = await opened.register(issuer.email)
    await this.#publisher.account(directory, opened.thumbprint, signal)
    await this.#ledger.saveAccount({ ...kept.value, url }, kept.version, signal)
  }

  async #present(
    directory: Directory,
    challenges: readonly Challenge[],
    wanted: Wanted,
    signal: AbortSignal,
  ): Promise<void> {
    const { issuer, secret } = wanted
    const pairs = await Promise.all(
      challenges
        .filter(({ type }) => type === 'tls-alpn-01')
        .map(async (challenge) => ({ name: challenge.name, ...(await directory.alpn(challenge)) })),
    )
    const records = challenges.filter(({ type }) => type === 'dns-01').map(recordOf)
    const hosts = challenges.map(({ name }) => name)
    await this.#publisher.account(issuer.directory, directory.thumbprint, signal)
    const revision = await this.#publisher.put(secret, { directory: issuer.directory, hosts, pairs, records }, signal)
    if (records.length > 0) return (await this.#solver(wanted, signal)).present(records, signal)
    const wrong = await whyNotInPlace({ revision, challenges, pairs }, this.#world, signal)
    if (wrong !== null) throw new NotInPlace(wrong)
  }

  /** The Secret first: whoever finds the order closed finds the certificate. */
  async #store(directory: Directory, { wanted, record, version, secret }: Read, signal: AbortSignal): Promise<void> {
    const { url, key } = record.order!
    const chain = await directory.download(url!)
    signal.throwIfAborted()
    const stored = await this.#world.secrets.put(secretOf(secret, wanted, chain, key), signal)
    if (stored === null) throw new Outdated(`the Secret ${wanted.secret} was changed meanwhile`)
    const now = this.#world.clock.now()
    const issued = [...recent(record.issued, now), now]
    await this.#ledger.saveRecord({ ...record, order: null, issued, failure: null }, version, signal)
    await this.withdraw(wanted.secret, wanted, signal)
    const { names, notAfter } = leafOf(chain)!
    this.#world.onEvent({ kind: 'issued', secret: wanted.secret, names, notAfter })
  }

  async #open({ wanted, account, certificate }: Read): Promise<Directory> {
    const { directory: url, challenge } = wanted.issuer
    // Whoever only asks when to renew needs no account: a key of the moment will do.
    const key = account?.key ?? (certificate.kind === 'leaf' ? await newKey('P-256') : '')
    return this.#world.open({ url, key, account: account?.url ?? null, challenge, binding: null })
  }

  #solver({ issuer }: Wanted, signal: AbortSignal): Promise<Solver> {
    if (issuer.dns === null)
      throw new Error(`issuer ${issuer.name} proves names by dns-01, but not where they are written`)
    return this.#world.solver(issuer.dns, (key) => this.#secretValue(key, signal))
  }

  async #secretValue({ secret, key }: SecretKey, signal: AbortSignal): Promise<string> {
    const value = (await this.#world.secrets.get(secret, signal))?.data[key]?.trim()
    if (!value) throw new Error(`the Secret ${secret} is not there or has no ${key}: create it`)
    return value
  }
}

/** RFC 8555 8.4. */
const recordOf = ({ name, keyAuthorization }: Challenge) => ({
  name: `_acme-challenge.${name}`,
  value: createHash('sha256').update(keyAuthorization).digest('base64url'),
})

const FIRST_LOOK_MS = 500
