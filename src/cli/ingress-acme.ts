/** Certificates of an ACME server: what orders them (src/ingress/acme) between the API server, the carrier and the Lease. */
import type { Delta, Drift, Refused, Target } from '../core/delta.ts'
import { After } from '../core/after.ts'
import { systemClock } from '../core/clock.ts'
import { openDirectory, trust } from '../ingress/acme/directory.ts'
import { KubeSecrets } from '../ingress/acme/kubesecrets.ts'
import { Orders } from '../ingress/acme/orders.ts'
import { Presence } from '../ingress/acme/presence.ts'
import { checkBy } from '../ingress/acme/replicas.ts'
import { openSolver } from '../ingress/acme/solvers.ts'
import { Tenancy } from '../ingress/acme/tenancy.ts'
import type { IngressOptions } from '../ingress/options.ts'
import { HTTP } from '../ingress/rows.ts'
import type { AcmeWords } from './ingress-acme-options.ts'
import type { CertificateNews } from './ingress-certificates.ts'
import type { Led, LeaderParts } from './ingress-leader.ts'
import type { IngressService } from './ingress-service.ts'

export interface AcmeParts extends LeaderParts {
  readonly service: IngressService
  readonly told: IngressOptions
  readonly words: LeaderParts['words'] & AcmeWords
  readonly news: CertificateNews
  /** Of a private ACME server, in PEM. */
  readonly authorities: string | null
  /** There is a carrier. */
  readonly isServing: () => boolean
}

/** Certificates are ordered while this controller leads; challenges are answered in any case. */
export function startAcme(parts: AcmeParts): Led & { readonly done: Promise<void> } {
  const { service, told, words, connection, news, authorities, log, signal } = parts
  if (authorities !== null) trust([authorities])
  const presence = new Presence({
    ...{ connection, namespace: words.namespace, name: words.name, address: words.podIp ?? null },
    isServing: parts.isServing,
    onProblem: (reason) => log.warn('the Lease of this replica: orders may have to wait for it', { reason }),
  })
  const orders = new Orders(
    {
      ...{ namespace: words.namespace, secrets: new KubeSecrets(connection), replicas: presence },
      check: checkBy({ http: told.httpPort, https: told.httpsPort, isProxied: () => isProxied(service) }),
      ...{ open: openDirectory, solver: openSolver, clock: systemClock, random: Math.random },
      onEvent: news.hear,
    },
    news.shown,
  )
  const tenancy = new Tenancy({
    ...{ connection, namespace: words.namespace, election: words.electionId, refused: news.refused },
    object: `Pod ${words.namespace}/${words.name}`,
    onChange: (isOurs) => orders.lead(isOurs),
    onProblem: (reason, remedy) => log.warn('the Lease of the ingress that orders certificates', { reason, remedy }),
  })
  const { wanted, revision } = service.proxying.certificates
  service.runner.attach(wanted, orders)
  service.runner.attach(revision, new After(new Acknowledging(presence), () => service.inPlace()))
  return { does: 'it orders certificates', lead: (isLeader) => tenancy.lead(isLeader), done: presence.run(signal) }
}

function isProxied({ proxying }: IngressService): boolean {
  const row = proxying.rows.get(`listener ${HTTP}`)
  return row?.kind === 'listener' && row.proxyProtocol.length > 0
}

/** Says that the answers to challenges are in place here. */
class Acknowledging implements Target<string> {
  readonly name = 'acknowledged answers'
  readonly #presence: Presence

  constructor(presence: Presence) {
    this.#presence = presence
  }

  async apply({ put }: Delta<string>, signal: AbortSignal): Promise<readonly Refused[]> {
    const revision = put.get('')
    if (revision !== undefined) await this.#presence.acknowledge(revision, signal)
    return []
  }

  async audit(): Promise<Drift> {
    return { clean: true }
  }

  async cleanup(): Promise<void> {}
}
