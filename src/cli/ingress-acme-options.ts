/** The words of `fairlead ingress` about certificates of an ACME server, checked. */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { parseAddress } from '../cluster/address.ts'
import { answersPath } from '../ingress/acme/answers.ts'
import type { Binding, ChallengeType, Dns, Issuer, SecretKey } from '../ingress/acme/wanted.ts'
import type { IngressOptions } from '../ingress/options.ts'
import { Failure } from './failure.ts'

export interface AcmeWords {
  readonly acmeDirectory?: string
  readonly acmeIssuer: readonly string[]
  readonly acmeEmail?: string
  readonly acmeCaFile?: string
  readonly acmeChallenge: string
  readonly acmeProfile?: string
  readonly acmeEabKid?: string
  readonly acmeEabSecret?: string
  readonly acmeDnsServer?: string
  readonly acmeDnsZone?: string
  readonly acmeDnsKey?: string
  readonly acmeDnsAlgorithm: string
  readonly acmeDnsWebhook?: string
  readonly acmeDnsSecret?: string
  /** Of the controller's pod. */
  readonly namespace: string
  readonly podIp?: string
  readonly directory?: readonly string[]
}

export const addAcmeOptions = (command: Command): Command =>
  command
    .option(
      '--acme-directory <url>',
      'get certificates of this ACME server, for Ingresses with kubernetes.io/tls-acme: "true" or a cluster-issuer; e.g. https://acme-v02.api.letsencrypt.org/directory',
    )
    .option('--acme-issuer <name...>', 'values of cert-manager.io/cluster-issuer that mean it', ['letsencrypt'])
    .option('--acme-email <address>', 'where the ACME server may write to')
    .option('--acme-ca-file <file>', 'authorities of an ACME server of your own, PEM')
    .option('--acme-challenge <type>', 'http-01, tls-alpn-01 or dns-01', 'http-01')
    .option('--acme-profile <name>', 'kind of certificate, of those that the server offers: shortlived')
    .option('--acme-eab-kid <id>', 'key id of an external account, as the operator of the server gave it')
    .option('--acme-eab-secret <ns/name[:key]>', 'Secret with its HMAC key, in base64url; key: secret')
    .option('--acme-dns-server <address:port>', 'for dns-01: takes changes by RFC 2136')
    .option('--acme-dns-zone <name>', 'the zone of it that is changed')
    .option('--acme-dns-key <name>', 'name of the TSIG key (RFC 8945)')
    .option('--acme-dns-algorithm <name>', 'hmac-sha256, hmac-sha384 or hmac-sha512', 'hmac-sha256')
    .option('--acme-dns-webhook <url>', 'for dns-01, instead: is sent what to write and to remove')
    .option(
      '--acme-dns-secret <ns/name[:key]>',
      'Secret with the TSIG key in base64, or the token for the webhook; key: secret',
    )
    .option(
      '--pod-ip <address>',
      "of this pod: where another controller asks this one's proxy before the ACME server does",
      process.env['POD_IP'],
    )

/** null: certificates are left to others. */
export function acmeOptions(words: AcmeWords): IngressOptions['acme'] {
  if (words.acmeDirectory === undefined) {
    const alone = ONLY_WITH.find((name) => words[name] !== undefined)
    if (alone !== undefined)
      throw new Failure(`${optionOf(alone)} needs --acme-directory: the URL of an ACME server`, 2)
    return null
  }
  if (words.directory !== undefined)
    throw new Failure('--acme-directory needs an API server, not --directory: certificates are kept in Secrets', 2)
  const directory = urlOf('--acme-directory', words.acmeDirectory)
  const { acmeEmail: email = null, acmeProfile: profile = null } = words
  if (email !== null && !/^[^\s@]+@[^\s@]+$/.test(email)) wrong('--acme-email', email, 'an e-mail address')
  const challenge = CHALLENGES.find((type) => type === words.acmeChallenge)
  if (challenge === undefined) wrong('--acme-challenge', words.acmeChallenge, CHALLENGES.join(', '))
  if (words.podIp !== undefined && parseAddress(words.podIp) === null) wrong('--pod-ip', words.podIp, 'an IP address')
  const rest = { directory, email, challenge, profile, dns: dnsOf(words, challenge), binding: bindingOf(words) }
  const issuers = words.acmeIssuer.map((name): Issuer => ({ name, ...rest }))
  return {
    issuers: { byName: new Map(issuers.map((issuer) => [issuer.name, issuer])), common: issuers[0] ?? null },
    answers: answersPath(words.namespace),
  }
}

/** In PEM, of --acme-ca-file; null: none. */
export async function authoritiesOf({ acmeCaFile: file }: AcmeWords): Promise<string | null> {
  if (file === undefined) return null
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new Failure(`--acme-ca-file ${file}: ${error.message}`, 2)
  })
  return text.includes('BEGIN CERTIFICATE') ? text : wrong('--acme-ca-file', file, 'a file of certificates in PEM')
}

function bindingOf({ acmeEabKid: kid, acmeEabSecret: secret }: AcmeWords): Binding | null {
  if (kid === undefined && secret === undefined) return null
  if (kid === undefined || secret === undefined)
    throw new Failure('an external account has a key id and an HMAC key: give --acme-eab-kid and --acme-eab-secret', 2)
  return { kid, hmac: secretKeyOf('--acme-eab-secret', secret) }
}

function dnsOf(words: AcmeWords, challenge: ChallengeType): Dns | null {
  const { acmeDnsServer: server, acmeDnsWebhook: webhook, acmeDnsSecret } = words
  const secret = acmeDnsSecret === undefined ? null : secretKeyOf('--acme-dns-secret', acmeDnsSecret)
  if (challenge !== 'dns-01') {
    const alone = ONLY_DNS.find((name) => words[name] !== undefined)
    if (alone !== undefined) throw new Failure(`${optionOf(alone)} is for --acme-challenge dns-01`, 2)
    return null
  }
  if ((server === undefined) === (webhook === undefined))
    throw new Failure('dns-01 needs --acme-dns-server or --acme-dns-webhook: who writes the records', 2)
  if (webhook !== undefined) return { kind: 'webhook', url: urlOf('--acme-dns-webhook', webhook), bearer: secret }
  const { acmeDnsZone: zone, acmeDnsKey: keyName } = words
  if (zone === undefined || keyName === undefined || secret === null)
    throw new Failure('--acme-dns-server needs --acme-dns-zone, --acme-dns-key and --acme-dns-secret', 2)
  const algorithm = ALGORITHMS.find((name) => name === words.acmeDnsAlgorithm)
  if (algorithm === undefined) wrong('--acme-dns-algorithm', words.acmeDnsAlgorithm, ALGORITHMS.join(', '))
  return { kind: 'update', ...addressOf(server!), zone, keyName, algorithm, tsig: secret }
}

function addressOf(text: string): { readonly address: string; readonly port: number } {
  const [, bracketed, plain, port = '53'] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  const address = parseAddress(bracketed ?? plain ?? '')
  if (address === null || Number(port) < 1 || Number(port) > 65_535)
    wrong('--acme-dns-server', text, 'an IP address and a port: 192.0.2.1:53')
  return { address, port: Number(port) }
}

function secretKeyOf(option: string, text: string): SecretKey {
  const [, secret, key = 'secret'] =
    /^([a-z0-9][-a-z0-9]{0,62}\/[a-z0-9][-a-z0-9.]{0,252})(?::([-._a-zA-Z0-9]+))?$/.exec(text) ?? []
  return secret === undefined ? wrong(option, text, 'namespace/name, perhaps with :key') : { secret, key }
}

function urlOf(option: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !(url.protocol === 'https:' || (url.protocol === 'http:' && option !== '--acme-directory')))
    wrong(option, text, 'an https URL')
  return text
}

function wrong(option: string, text: string, wanted: string): never {
  throw new Failure(`${option} ${text}: write ${wanted}`, 2)
}

/** `acmeEabKid` -> `--acme-eab-kid`. */
const optionOf = (name: string): string => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`

const CHALLENGES: readonly ChallengeType[] = ['http-01', 'tls-alpn-01', 'dns-01']
const ALGORITHMS = ['hmac-sha256', 'hmac-sha384', 'hmac-sha512'] as const
const ONLY_DNS = ['acmeDnsServer', 'acmeDnsZone', 'acmeDnsKey', 'acmeDnsWebhook', 'acmeDnsSecret'] as const
const ONLY_WITH = ['acmeEmail', 'acmeCaFile', 'acmeProfile', 'acmeEabKid', 'acmeEabSecret', ...ONLY_DNS] as const
