/** X.509 certificates of elliptic-curve keys, made here: RFC 5280, in DER. */
import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'

/** Of a subject or issuer. */
export interface Name {
  readonly organization: string
  readonly commonName: string
}

export interface Validity {
  readonly notBefore: Date
  readonly notAfter: Date
}

export interface Keys {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

export interface Certificate extends Validity {
  readonly subject: Name
  readonly publicKey: KeyObject
  readonly issuer: { readonly name: Name } & Keys
  readonly extensions: readonly Buffer[]
}

export const newKeys = (): Keys => generateKeyPairSync('ec', { namedCurve: 'P-256' })

/** PEM. */
export function certify({ subject, publicKey, issuer, extensions, notBefore, notAfter }: Certificate): string {
  const body = der(
    0x30,
    explicit(0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([0x40]), randomBytes(15)])),
    ECDSA_SHA256,
    nameOf(issuer.name),
    der(0x30, time(notBefore), time(notAfter)),
    nameOf(subject),
    spki(publicKey),
    explicit(3, der(0x30, ...extensions)),
  )
  const signature = sign('sha256', body, issuer.privateKey)
  return pem(der(0x30, body, ECDSA_SHA256, der(0x03, Buffer.from([0]), signature)))
}

/** PKCS #8, PEM. */
export const keyText = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()

/** Of a server with these DNS names: no authority, digitalSignature, serverAuth. */
export const serverExtensions = (names: readonly string[]): Buffer[] => [
  extension('551d13', true, der(0x30)),
  extension('551d0f', true, der(0x03, Buffer.from([7, 0x80]))),
  extension('551d25', false, der(0x30, object('2b06010505070301'))),
  extension('551d11', false, der(0x30, ...names.map(dnsName))),
]

/** Of an authority that signs servers' certificates only, and only for names at and below `domain`. */
export const authorityExtensions = (domain: string): Buffer[] => [
  // basicConstraints: cA, pathLenConstraint 0; keyUsage: keyCertSign, cRLSign; nameConstraints: permittedSubtrees.
  extension('551d13', true, der(0x30, der(0x01, Buffer.from([0xff])), integer(Buffer.from([0])))),
  extension('551d0f', true, der(0x03, Buffer.from([1, 0x06]))),
  extension('551d1e', true, der(0x30, explicit(0, der(0x30, dnsName(domain))))),
]

/** subjectKeyIdentifier and authorityKeyIdentifier: a chain is found by them. */
export const keyExtensions = (subject: KeyObject, issuer: KeyObject): Buffer[] => [
  extension('551d0e', false, der(0x04, keyId(subject))),
  extension('551d23', false, der(0x30, der(0x80, keyId(issuer)))),
]

const extension = (oid: string, isCritical: boolean, value: Buffer): Buffer =>
  der(0x30, object(oid), ...(isCritical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, value))

function nameOf({ organization, commonName }: Name): Buffer {
  const part = (oid: string, text: string): Buffer =>
    der(0x31, der(0x30, object(oid), der(0x0c, Buffer.from(text, 'utf8'))))
  return der(0x30, part('55040a', organization), part('550403', commonName))
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

const spki = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' })
const keyId = (key: KeyObject): Buffer => createHash('sha256').update(spki(key)).digest().subarray(0, 20)
const dnsName = (name: string): Buffer => der(0x82, Buffer.from(name, 'ascii'))
const object = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'))
const integer = (value: Buffer): Buffer => der(0x02, value)
const explicit = (tag: number, content: Buffer): Buffer => der(0xa0 | tag, content)

/** UTCTime until 2049, as RFC 5280 4.1.2.5 wants it. */
function time(at: Date): Buffer {
  const digits = at.toISOString().replace(/[-:T]/g, '').slice(0, 14)
  return at.getUTCFullYear() < 2050
    ? der(0x17, Buffer.from(`${digits.slice(2)}Z`))
    : der(0x18, Buffer.from(`${digits}Z`))
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g)!
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

const ECDSA_SHA256 = der(0x30, object('2a8648ce3d040302'))
