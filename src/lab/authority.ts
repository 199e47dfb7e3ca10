/** The lab's certificate authority: for names at and below `localhost`, which no other gives certificates for (RFC 6761). */
import { authorityExtensions, certify, keyExtensions, keyText, newKeys, serverExtensions } from '../ingress/x509.ts'

/** PEM. */
export interface Pair {
  readonly chain: string
  readonly key: string
}

/** New with each lab; its key is in memory only. */
export class Authority {
  /** PEM. */
  readonly certificate: string
  readonly #keys = newKeys()
  readonly #validity: { readonly notBefore: Date; readonly notAfter: Date }

  constructor(nowMs = Date.now()) {
    this.#validity = { notBefore: new Date(nowMs - HOUR_MS), notAfter: new Date(nowMs + YEAR_MS) }
    const { publicKey } = this.#keys
    this.certificate = certify({
      ...{ subject: NAME, publicKey, ...this.#validity },
      issuer: { name: NAME, ...this.#keys },
      extensions: [...authorityExtensions(DOMAIN), ...keyExtensions(publicKey, publicKey)],
    })
  }

  /** Names for which `isLocal`. */
  issue(names: readonly string[]): Pair {
    const { publicKey, privateKey } = newKeys()
    const chain = certify({
      subject: { organization: NAME.organization, commonName: names[0]!.slice(0, COMMON_NAME_MAX) },
      ...{ publicKey, ...this.#validity },
      issuer: { name: NAME, ...this.#keys },
      extensions: [...serverExtensions(names), ...keyExtensions(publicKey, this.#keys.publicKey)],
    })
    return { chain, key: keyText(privateKey) }
  }
}

/** Whether browsers and resolvers take the name for this machine. */
export const isLocal = (name: string): boolean => name === DOMAIN || name.endsWith(`.${DOMAIN}`)

const DOMAIN = 'localhost'
const NAME = { organization: 'Fairlead', commonName: 'Fairlead lab' }
/** ub-common-name of RFC 5280. */
const COMMON_NAME_MAX = 64
const HOUR_MS = 3_600_000
const YEAR_MS = 365 * 24 * HOUR_MS
