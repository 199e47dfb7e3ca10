/** When a certificate is renewed: what the server says (ARI, RFC 9773), else after two thirds of its life. */
import { createHash, X509Certificate } from 'node:crypto'
import { AuthorityKeyIdentifierExtension, X509Certificate as Parsed } from '@peculiar/x509'

/** Of a certificate that is there. Times in ms since 1970. */
export interface Leaf {
  /** RFC 9773 4.1; null: the certificate does not name its issuer's key. */
  readonly certId: string | null
  /** subjectAltName, lower case, sorted. */
  readonly names: readonly string[]
  readonly notBefore: number
  readonly notAfter: number
}

/** renewalInfo as the server gave it last. */
export interface RenewalInfo {
  readonly certId: string
  readonly start: number
  readonly end: number
  /** Not asked again before. */
  readonly askAt: number
}

/** null: it is not a certificate in PEM. */
export function leafOf(chain: string): Leaf | null {
  try {
    const leaf = new X509Certificate(chain)
    const names = [...(leaf.subjectAltName ?? '').matchAll(/DNS:([^,\s]+)/g)].map((match) => match[1]!.toLowerCase())
    return {
      ...{ certId: certIdOf(leaf), names: [...new Set(names)].sort() },
      ...{ notBefore: Date.parse(leaf.validFrom), notAfter: Date.parse(leaf.validTo) },
    }
  } catch {
    return null
  }
}

/**
 * ms since 1970. Each certificate has its own moment of the window, by chance but always the same one: it comes from the
 * certificate's own id, so that a new leader does not draw again.
 */
export function renewAt(leaf: Leaf, info: RenewalInfo | null, renewBeforeMs: number | null): number {
  const chance = chanceOf(leaf.certId ?? `${leaf.names.join()} ${leaf.notAfter}`)
  const lifeMs = leaf.notAfter - leaf.notBefore
  // Never so late that there is no time for a few tries, whatever the server says.
  const latest = leaf.notAfter - lifeMs / 20
  if (info !== null && info.certId === leaf.certId)
    return Math.min(info.start + chance * (info.end - info.start), latest)
  // More than the certificate's life would renew it for ever.
  if (renewBeforeMs !== null && renewBeforeMs < lifeMs * 0.9) return leaf.notAfter - renewBeforeMs
  return leaf.notBefore + lifeMs * (2 / 3 - JITTER * chance)
}

/** Of what the server answered; null: it is no window (RFC 9773 4.2: end after start). */
export function renewalInfoOf(
  certId: string,
  body: unknown,
  retryAfterMs: number | null,
  now: number,
): RenewalInfo | null {
  const window = (body as { suggestedWindow?: { start?: unknown; end?: unknown } } | null)?.suggestedWindow
  const [start, end] = [Date.parse(String(window?.start)), Date.parse(String(window?.end))]
  if (!Number.isFinite(start) || !Number.isFinite(end) || end <= start) return null
  return { certId, start, end, askAt: now + clampAskMs(retryAfterMs) }
}

/** RFC 9773 4.3.2: what is unreasonable is brought within bounds. */
export const clampAskMs = (retryAfterMs: number | null): number =>
  Math.min(Math.max(retryAfterMs ?? ASK_MS, ASK_MIN_MS), ASK_MAX_MS)

function certIdOf(leaf: X509Certificate): string | null {
  const keyId = new Parsed(leaf.raw).getExtension(AuthorityKeyIdentifierExtension)?.keyId
  if (!keyId) return null
  const hex = leaf.serialNumber.length % 2 === 0 ? leaf.serialNumber : `0${leaf.serialNumber}`
  // DER: an INTEGER whose first bit is set has an octet 0 before it.
  const serial = Buffer.from(parseInt(hex.slice(0, 2), 16) >= 0x80 ? `00${hex}` : hex, 'hex')
  return `${Buffer.from(keyId, 'hex').toString('base64url')}.${serial.toString('base64url')}`
}

/** 0 <= chance < 1. */
const chanceOf = (text: string): number => createHash('sha256').update(text).digest().readUInt32BE() / 2 ** 32

const JITTER = 1 / 20
const ASK_MS = 6 * 3_600_000
const ASK_MIN_MS = 60_000
const ASK_MAX_MS = 24 * 3_600_000
