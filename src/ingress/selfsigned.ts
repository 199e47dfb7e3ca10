/** A certificate that nobody trusts, for names that nobody has one for: as ingress-nginx makes its own. */
import { certify, keyText, newKeys, serverExtensions, type Name, type Validity } from './x509.ts'

export interface SelfSigned extends Name, Validity {
  readonly names: readonly string[]
}

/** PEM. */
export function selfSigned(wanted: SelfSigned): { readonly chain: string; readonly key: string } {
  const { publicKey, privateKey } = newKeys()
  const { organization, commonName, notBefore, notAfter } = wanted
  const subject = { organization, commonName }
  const chain = certify({
    ...{ subject, publicKey, notBefore, notAfter },
    issuer: { name: subject, publicKey, privateKey },
    extensions: serverExtensions(wanted.names),
  })
  return { chain, key: keyText(privateKey) }
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
