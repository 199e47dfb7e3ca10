/** What is shown of the certificates that are ordered. */
import type { Rejection } from '../../cluster/rejection.ts'
import { InputTable } from '../../core/table.ts'

/** Row by path of the Secret. */
export interface CertificateStatus {
  readonly secret: string
  readonly ingress: string
  readonly issuer: string
  /** What is done now, or waited for. */
  readonly step: string
  /** ms since 1970; null: there is no certificate yet. */
  readonly notAfter: number | null
  readonly renewAt: number | null
}

export interface Shown {
  /** Filled by the leader only. */
  readonly status: InputTable<CertificateStatus>
  /** What is wrong now: it ends when the certificate is there. */
  readonly problems: InputTable<Rejection>
}

export function showNothing(): Shown {
  const shown = {
    status: new InputTable<CertificateStatus>('certificates of ACME'),
    problems: new InputTable<Rejection>('problems of ACME'),
  }
  for (const table of Object.values(shown)) table.markSynced()
  return shown
}
