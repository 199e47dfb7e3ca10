/** What every replica answers to challenges: one Secret that the leader writes and all follow, as rows of the proxy. */
import { createHash } from 'node:crypto'
import type { Key } from '../../core/delta.ts'
import type { ProxyRow, SecretRow } from '../rows.ts'

export interface Answers {
  /** Thumbprint by directory of the account: whoever asks for any token gets it (http-01). */
  readonly accounts: Readonly<{ [directory in string]: string }>
  /** By path of the Secret that an order is for. */
  readonly orders: Readonly<{ [secret in string]: Answer }>
}

export interface Answer {
  readonly directory: string
  /** Names under proof. */
  readonly hosts: readonly string[]
  /** Of tls-alpn-01. */
  readonly pairs: readonly ChallengePair[]
  /** Of dns-01: written down before they are made, so that they are taken away by whoever leads then. */
  readonly records: readonly DnsRecord[]
}

export interface ChallengePair {
  readonly name: string
  readonly chain: string
  readonly key: string
}

/** TXT. */
export interface DnsRecord {
  /** `_acme-challenge.example.org`. */
  readonly name: string
  readonly value: string
}

/** Secret, by the controller's namespace. */
export const answersPath = (namespace: string): string => `${namespace}/fairlead-acme-answers`

export const NO_ANSWERS: Answers = { accounts: {}, orders: {} }

/** Same answers, same text. */
export const printAnswers = (answers: Answers): string =>
  JSON.stringify({ accounts: sorted(answers.accounts), orders: sorted(answers.orders) })

export const revisionOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32)

/** What is spoilt answers nothing: the leader writes it anew. */
export function parseAnswers(text: string | undefined): Answers {
  try {
    const { accounts, orders } = JSON.parse(text ?? '') as Answers
    if (!isMap(accounts) || !isMap(orders)) return NO_ANSWERS
    const isWhole = ({ hosts, pairs, records }: Answer) => [hosts, pairs, records].every((list) => Array.isArray(list))
    return { accounts, orders: Object.fromEntries(Object.entries(orders).filter(([, answer]) => isWhole(answer))) }
  } catch {
    return NO_ANSWERS
  }
}

/** Of the tables `proxy` and `secrets`. */
export function rowsOf({ accounts, orders }: Answers): {
  readonly proxy: ReadonlyMap<Key, ProxyRow>
  readonly secrets: ReadonlyMap<Key, SecretRow>
} {
  const thumbprints = [...new Set(Object.values(accounts))].sort()
  const hosts = (thumbprint: string): string[] =>
    // One account answers for all there is, and needs no news; of several, each for what is asked of it now.
    thumbprints.length === 1
      ? []
      : Object.values(orders).flatMap((order) => (accounts[order.directory] === thumbprint ? order.hosts : []))
  const proxy = new Map<Key, ProxyRow>()
  for (const thumbprint of thumbprints) {
    const names = [...new Set(hosts(thumbprint))].sort()
    if (thumbprints.length === 1 || names.length > 0)
      proxy.set(`thumbprint ${thumbprint}`, { kind: 'thumbprint', thumbprint, hosts: names })
  }
  const secrets = new Map<Key, SecretRow>()
  for (const { pairs } of Object.values(orders))
    for (const { name, chain, key } of pairs)
      secrets.set(`challenge ${name}`, { kind: 'pair', chain, key, challenge: name })
  return { proxy, secrets }
}

const isMap = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value)

const sorted = <T>(map: Readonly<{ [key in string]: T }>): { [key in string]: T } =>
  Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)))
