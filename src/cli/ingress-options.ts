/** The words of `fairlead ingress`, checked. */
import { parseAddress } from '../cluster/address.ts'
import type { IngressOptions } from '../ingress/options.ts'
import { Failure } from './failure.ts'
import { acmeOptions, type AcmeWords } from './ingress-acme-options.ts'

export interface IngressWords extends AcmeWords {
  readonly controllerClass: readonly string[]
  readonly ingressClass: string
  readonly watchIngressWithoutClass: boolean
  readonly configmap?: string
  readonly tcpServicesConfigmap?: string
  readonly udpServicesConfigmap?: string
  readonly defaultBackendService?: string
  readonly defaultSslCertificate?: string
  readonly enableSslPassthrough: boolean
  readonly address: readonly string[]
  readonly httpPort: string
  readonly httpsPort: string
  readonly zone?: string
  readonly publishService?: string
}

export function ingressOptions(words: IngressWords): IngressOptions {
  const addresses = words.address.map((text) => parseAddress(text) ?? wrong('--address', text, 'an IP address'))
  const [httpPort, httpsPort] = [portOf('--http-port', words.httpPort), portOf('--https-port', words.httpsPort)]
  if (httpPort === httpsPort)
    throw new Failure(`--http-port and --https-port are both ${httpPort}: give them different ports`, 2)
  pathOf('--publish-service', words.publishService)
  return {
    controllers: words.controllerClass,
    className: words.ingressClass,
    watchWithoutClass: words.watchIngressWithoutClass,
    configMap: pathOf('--configmap', words.configmap),
    tcpServices: pathOf('--tcp-services-configmap', words.tcpServicesConfigmap),
    udpServices: pathOf('--udp-services-configmap', words.udpServicesConfigmap),
    defaultBackend: pathOf('--default-backend-service', words.defaultBackendService),
    defaultCertificate: pathOf('--default-ssl-certificate', words.defaultSslCertificate),
    passthrough: words.enableSslPassthrough,
    zone: words.zone || null,
    acme: acmeOptions(words),
    ...{ addresses, httpPort, httpsPort },
  }
}

function pathOf(option: string, text: string | undefined): string | null {
  if (text === undefined) return null
  return /^[a-z0-9][-a-z0-9]{0,62}\/[a-z0-9][-a-z0-9.]{0,252}$/.test(text)
    ? text
    : wrong(option, text, 'namespace/name')
}

function portOf(option: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  return port >= 1 && port <= 65_535 ? port : wrong(option, text, 'a port from 1 to 65535')
}

function wrong(option: string, text: string, wanted: string): never {
  throw new Failure(`${option} ${text}: write ${wanted}`, 2)
}
