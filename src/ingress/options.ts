import type { Issuers } from './acme/wanted.ts'

/** What one controller is told on its command line. Paths are `namespace/name`. */
export interface IngressOptions {
  /** `spec.controller` of the IngressClasses it serves. */
  readonly controllers: readonly string[]
  /** Value of the annotation kubernetes.io/ingress.class it serves. */
  readonly className: string
  /** Ingresses without any class, too. */
  readonly watchWithoutClass: boolean
  /** Service that takes what no Ingress does, at its first port; null: 404. */
  readonly defaultBackend: string | null
  /** Secret of the certificate for all other names; null: one that nobody trusts. */
  readonly defaultCertificate: string | null
  /** ConfigMaps. */
  readonly configMap: string | null
  readonly tcpServices: string | null
  readonly udpServices: string | null
  readonly addresses: readonly string[]
  readonly httpPort: number
  readonly httpsPort: number
  /** ssl-passthrough is honoured. */
  readonly passthrough: boolean
  /** Of the proxy; null: not known, and no endpoint is preferred. */
  readonly zone: string | null
  /** null: certificates are left to others. */
  readonly acme: {
    readonly issuers: Issuers
    /** Secret that the leader writes what is answered to challenges into. */
    readonly answers: string
  } | null
}

export const DEFAULT_OPTIONS: IngressOptions = {
  controllers: ['fairlead.io/ingress', 'k8s.io/ingress-nginx'],
  className: 'nginx',
  watchWithoutClass: false,
  defaultBackend: null,
  defaultCertificate: null,
  configMap: null,
  tcpServices: null,
  udpServices: null,
  addresses: ['0.0.0.0', '::'],
  httpPort: 80,
  httpsPort: 443,
  passthrough: false,
  zone: null,
  acme: null,
}
