/** The Secret that a certificate goes to, in cert-manager's shape: it may take over, and we may take over from it. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { Certificate } from './next.ts'
import { leafOf } from './renewal.ts'
import type { StoredSecret } from './store.ts'
import type { KeyType, Wanted } from './wanted.ts'

export function certificateOf(secret: StoredSecret | null, wanted: Wanted): Certificate {
  if (secret === null) return { kind: 'none' }
  if (secret.type !== TYPE) return { kind: 'foreign', why: `is of type ${secret.type || 'Opaque'}, not ${TYPE}` }
  const { 'tls.crt': chain = '', 'tls.key': key = '' } = secret.data
  const issuer = secret.annotations[ISSUER_NAME]
  if (chain === '' && key === '') return { kind: 'none' }
  if (issuer === undefined)
    return { kind: 'foreign', why: 'holds a certificate that no ACME issuer wrote; it is left as it is' }
  const leaf = leafOf(chain)
  if (leaf === null || !isPair(chain, key)) return { kind: 'none' }
  return { kind: 'leaf', leaf, isFit: issuer === wanted.issuer.name && keyTypeOf(chain) === wanted.keyType }
}

/** What is there of others' labels and annotations stays. */
export function secretOf(was: StoredSecret | null, wanted: Wanted, chain: string, key: string): StoredSecret {
  return {
    path: wanted.secret,
    type: TYPE,
    labels: { ...was?.labels, 'controller.cert-manager.io/fao': 'true' },
    annotations: {
      ...was?.annotations,
      'cert-manager.io/alt-names': wanted.names.join(','),
      'cert-manager.io/certificate-name': wanted.secret.slice(wanted.secret.indexOf('/') + 1),
      'cert-manager.io/common-name': wanted.names[0]!,
      'cert-manager.io/ip-sans': '',
      'cert-manager.io/uri-sans': '',
      'cert-manager.io/issuer-group': 'cert-manager.io',
      'cert-manager.io/issuer-kind': 'ClusterIssuer',
      [ISSUER_NAME]: wanted.issuer.name,
    },
    data: { ...was?.data, 'tls.crt': chain, 'tls.key': key },
    version: was?.version ?? '',
  }
}

function isPair(chain: string, key: string): boolean {
  try {
    return new X509Certificate(chain).checkPrivateKey(createPrivateKey(key))
  } catch {
    return false
  }
}

function keyTypeOf(chain: string): KeyType | null {
  const { asymmetricKeyType, asymmetricKeyDetails } = new X509Certificate(chain).publicKey
  if (asymmetricKeyType === 'rsa') return (asymmetricKeyDetails?.modulusLength ?? null) as KeyType | null
  return CURVES[asymmetricKeyDetails?.namedCurve ?? ''] ?? null
}

const TYPE = 'kubernetes.io/tls'
const ISSUER_NAME = 'cert-manager.io/issuer-name'
const CURVES: Readonly<{ [curve in string]?: KeyType }> = {
  prime256v1: 'P-256',
  secp384r1: 'P-384',
  secp521r1: 'P-521',
}
