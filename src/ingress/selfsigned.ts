/** A certificate that nobody trusts, for names that nobody has one for: as ingress-nginx makes its own (RFC 5280, in DER). */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'

export interface SelfSigned {
  readonly names: readonly string[]
  readonly organization: string
  readonly commonName: string
  readonly notBefore: Date
  readonly notAfter: Date
}

/** PEM. */
export function selfSigned(wanted: SelfSigned): { readonly chain: string; readonly key: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const name = nameOf(wanted)
  const body = der(
    0x30,
    explicit(0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([0x40]), randomBytes(15)])),
    ECDSA_SHA256,
    name,
    der(0x30, time(wanted.notBefore), time(wanted.notAfter)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    explicit(3, der(0x30, ...extensions(wanted.names))),
  )
  const signature = sign('sha256', body, privateKey)
  const whole = der(0x30, body, ECDSA_SHA256, der(0x03, Buffer.from([0]), signature))
  return { chain: pem(whole), key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}

/** As ingress-nginx's fake certificate is called, so that people recognise it. */
export const spareCertificate = (now: Date): { readonly chain: string; readonly key: string } =>
  selfSigned({
    names: ['ingress.local'],
    organization: 'Acme Co',
    commonName: 'Kubernetes Ingress Controller Fake Certificate',
    notBefore: now,
    notAfter: new Date(now.getTime() + 365 * 86_400_000),
  })

function nameOf({ organization, commonName }: SelfSigned): Buffer {
  const part = (oid: string, text: string): Buffer =>
    der(0x31, der(0x30, object(oid), der(0x0c, Buffer.from(text, 'utf8'))))
  return der(0x30, part('55040a', organization), part('550403', commonName))
}

function extensions(names: readonly string[]): Buffer[] {
  const extension = (oid: string, isCritical: boolean, value: Buffer): Buffer =>
    der(0x30, object(oid), ...(isCritical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, value))
  return [
    // basicConstraints: no authority; keyUsage: digitalSignature; extKeyUsage: serverAuth; subjectAltName.
    extension('551d13', true, der(0x30)),
    extension('551d0f', true, der(0x03, Buffer.from([7, 0x80]))),
    extension('551d25', false, der(0x30, object('2b06010505070301'))),
    extension('551d11', false, der(0x30, ...names.map((name) => der(0x82, Buffer.from(name, 'ascii'))))),
  ]
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

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
