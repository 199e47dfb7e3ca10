import type { Raw } from '../contract/service-objects.ts'

export interface Question {
  readonly listener: 'http' | 'https'
  readonly host: string
  readonly path: string
  /** Values of the header X-Canary and the cookie c. */
  readonly header?: string
  readonly cookie?: string
}

interface Entry {
  readonly ingress: Raw
  readonly type: string
  readonly path: string
  readonly backend: Raw
}

/**
 * What a request comes to, from raw objects alone: looked for when it is asked, rule by rule, as a person with the
 * documentation in hand would, where the code under test ranks routes beforehand. Answers are lines as IngressRoom.ask has them.
 */
export class Oracle {
  readonly #ingresses: readonly Raw[]
  readonly #objects: readonly Raw[]

  constructor(objects: Iterable<Raw>) {
    this.#objects = [...objects]
    const age = (it: Raw): string => `${it['metadata'].creationTimestamp} ${nameOf(it)}`
    this.#ingresses = this.#objects
      .filter((it) => it['kind'] === 'Ingress' && it['spec'].ingressClassName === 'nginx')
      .sort((a, b) => (age(a) < age(b) ? -1 : 1))
  }

  ask(question: Question): string {
    const asked = question.host
    const wildcard = asked.includes('.') ? `*.${asked.split('.').slice(1).join('.')}` : null
    for (const host of [asked, wildcard, '']) {
      if (host === null) continue
      // An alias is the host that it is another name of, unless it has rules of its own.
      const real = this.#mains().some((it) => ruled(it, host)) ? host : this.#aliasOf(host)
      if (real === null) {
        if (this.#isWww(host)) return `308 ${question.listener}://${this.#counterpart(host)}${question.path}`
        continue
      }
      if (this.#entries(real).length > 0) return this.#askHost(real, question)
      if (this.#isWww(host)) return `308 ${question.listener}://${this.#counterpart(host)}${question.path}`
    }
    return '404'
  }

  #askHost(host: string, question: Question): string {
    const regex = this.#isRegex(host)
    const { path } = question
    const fitting = this.#entries(host).filter((entry) => fits(entry, path, regex))
    const [best] = fitting.sort((a, b) => better(a, b, regex))
    const bare = regex
      ? undefined
      : this.#entries(host).find(
          (entry) => entry.type === 'ImplementationSpecific' && entry.path === `${path}/` && path !== '',
        )
    // Only what has just this path itself comes before the redirect to the one with a slash.
    if (
      bare !== undefined &&
      !(
        best !== undefined &&
        best.type !== 'Default' &&
        trim(best.path).length === path.length &&
        best.path.length >= path.length
      )
    )
      return `301 ${question.listener}://${question.host}${path}/`
    return best === undefined ? '404' : this.#answer(best, host, question)
  }

  #answer({ ingress, backend, path, type }: Entry, host: string, question: Question): string {
    const said = annotationsOf(ingress)
    const where = question.listener
    if (said['app-root'] !== undefined && path === '/' && question.path === '/')
      return `302 ${where}://${question.host}${said['app-root']}`
    const redirects = said['force-ssl-redirect'] === 'true' || (said['ssl-redirect'] !== 'false' && this.#hasTls(host))
    const isChallenge = path.startsWith('/.well-known/acme-challenge')
    if (where === 'http' && redirects && !isChallenge) return `308 https://${question.host}${question.path}`
    if (said['whitelist-source-range'] === 'nobody') return '503'
    if (said['permanent-redirect'] !== undefined) return `301 ${said['permanent-redirect']}`
    const main = this.#addresses(ingress['metadata'].namespace, backend)
    const canary = this.#canary(host, type, path)
    if (canary === null) return shown(new Map([[main, 1]]))
    const other = this.#addresses(canary.namespace, canary.backend)
    const { header, cookie, weight } = canary
    if (other === null) return shown(new Map([[main, 1]]))
    if (header && question.header === 'always') return shown(new Map([[other, 1]]))
    if (header && question.header === 'never') return shown(new Map([[main, 1]]))
    if (cookie && question.cookie === 'always') return shown(new Map([[other, 1]]))
    if (cookie && question.cookie === 'never') return shown(new Map([[main, 1]]))
    // Nothing is known of a main backend that is not there: all of it fails until a canary has everything.
    if (main === null && weight < 100) return '503'
    return shown(
      main === other
        ? new Map([[main, 1]])
        : new Map([
            [main, (100 - weight) / 100],
            [other, weight / 100],
          ]),
    )
  }

  /** Each path and type once, as the oldest has it. */
  #entries(host: string): Entry[] {
    const found = new Map<string, Entry>()
    for (const ingress of this.#mains()) {
      for (const rule of ingress['spec'].rules.filter((it: Raw) => (it['host'] ?? '') === host)) {
        for (const { path, pathType, backend } of rule.http.paths) {
          const entry = { ingress, type: pathType, path: pathType === 'Prefix' ? trim(path) || '/' : path, backend }
          const key = `${pathType} ${entry.path}`
          if (!found.has(key)) found.set(key, entry)
        }
      }
    }
    for (const ingress of this.#mains()) {
      const { defaultBackend, rules } = ingress['spec']
      const isIts = host === '' || rules.some((it: Raw) => (it['host'] ?? '') === host)
      if (defaultBackend && isIts && !found.has('Default'))
        found.set('Default', { ingress, type: 'Default', path: '', backend: defaultBackend })
    }
    const regex = this.#isRegex(host)
    return [...found.values()].filter(({ type, path }) => !regex || type === 'Default' || !path.includes('(?='))
  }

  #canary(host: string, type: string, path: string) {
    for (const ingress of this.#ingresses.filter(isCanary)) {
      for (const rule of ingress['spec'].rules.filter((it: Raw) => (it['host'] ?? '') === host)) {
        for (const each of rule.http.paths) {
          const own = each.pathType === 'Prefix' ? trim(each.path) || '/' : each.path
          if (each.pathType !== type || own !== path) continue
          const said = annotationsOf(ingress)
          return {
            ...{ namespace: ingress['metadata'].namespace as string, backend: each.backend as Raw },
            ...{ header: said['canary-by-header'] !== undefined, cookie: said['canary-by-cookie'] !== undefined },
            weight: Number(said['canary-weight'] ?? 0),
          }
        }
      }
    }
    return null
  }

  /** Ready ones sorted, else those that end; null: there is no such Service or port; '' : none. */
  #addresses(namespace: string, { service }: Raw): string | null {
    const found = this.#objects.find((it) => it['kind'] === 'Service' && nameOf(it) === `${namespace}/${service.name}`)
    const port = found?.['spec'].ports.find(
      (it: Raw) => it['port'] === service.port.number || it['name'] === service.port.name,
    )
    if (port === undefined) return null
    const slices = this.#objects.filter(
      (it) =>
        it['kind'] === 'EndpointSlice' &&
        it['metadata'].namespace === namespace &&
        it['metadata'].labels['kubernetes.io/service-name'] === service.name,
    )
    const of = (wanted: (conditions: Raw) => boolean) =>
      slices.flatMap((slice) => {
        const own = slice['ports'].find((it: Raw) => it['name'] === port.name)
        return own === undefined
          ? []
          : slice['endpoints']
              .filter((it: Raw) => wanted(it['conditions']))
              .map((it: Raw) => `${it['addresses'][0]}:${own.port}`)
      })
    const ready = of(({ ready }) => ready !== false)
    const ending = of(({ ready, serving, terminating }) => ready === false && serving && terminating)
    return [...new Set(ready.length > 0 ? ready : ending)].sort().join(' ')
  }

  readonly #mains = (): readonly Raw[] => this.#ingresses.filter((it) => !isCanary(it))

  #isRegex(host: string): boolean {
    return this.#mains().some(
      (it) =>
        it['spec'].rules.some((rule: Raw) => (rule['host'] ?? '') === host) &&
        (annotationsOf(it)['use-regex'] === 'true' || annotationsOf(it)['rewrite-target'] !== undefined),
    )
  }

  #hasTls(host: string): boolean {
    return this.#ingresses.some((it) =>
      (it['spec'].tls ?? []).some(({ hosts = [] }: Raw) => {
        const own = it['spec'].rules.map((rule: Raw) => rule['host'] ?? '')
        const all: string[] = hosts.length > 0 ? hosts : own.length > 0 ? own : ['']
        return all.includes(host) || (own.includes(host) && all.includes(`*.${host.split('.').slice(1).join('.')}`))
      }),
    )
  }

  #aliasOf(host: string): string | null {
    for (const it of this.#mains()) {
      const own: string[] = it['spec'].rules.map((rule: Raw) => rule['host'] ?? '')
      const names = (annotationsOf(it)['server-alias'] ?? '').split(',')
      if (names.includes(host) && host !== '' && own.length > 0 && !own.includes(host)) return own[0]!
    }
    return null
  }

  #isWww(host: string): boolean {
    const other = this.#counterpart(host)
    return (
      host !== '' &&
      !host.startsWith('*') &&
      this.#mains().some((it) => ruled(it, other) && annotationsOf(it)['from-to-www-redirect'] === 'true') &&
      !this.#hasTls(host) &&
      !this.#mains().some((it) => ruled(it, host))
    )
  }

  readonly #counterpart = (host: string): string => (host.startsWith('www.') ? host.slice(4) : `www.${host}`)
}

function fits({ type, path }: Entry, asked: string, regex: boolean): boolean {
  if (type === 'Default') return true
  if (regex) return new RegExp(`^(?:${path})`, 'i').test(asked)
  if (type === 'Exact') return asked === path
  if (type === 'ImplementationSpecific') return asked.startsWith(path)
  const [own, given] = [path, asked].map((it) => it.split('/').filter((element) => element !== ''))
  return own!.every((element, i) => given![i] === element)
}

/** Longest first; Exact before Prefix before nginx's own. Of patterns as long, the greater text. */
function better(a: Entry, b: Entry, regex: boolean): number {
  const order = ['Exact', 'Prefix', 'ImplementationSpecific', 'Default']
  if (regex && a.type !== 'Default' && b.type !== 'Default')
    return (
      b.path.length - a.path.length ||
      (a.path > b.path ? -1 : a.path < b.path ? 1 : order.indexOf(a.type) - order.indexOf(b.type))
    )
  return b.path.length - a.path.length || order.indexOf(a.type) - order.indexOf(b.type)
}

function shown(shares: ReadonlyMap<string | null, number>): string {
  const each = new Map<string, number>()
  for (const [addresses, share] of shares) {
    const all = (addresses ?? '').split(' ').filter((address) => address !== '')
    for (const address of all) if (share > 0) each.set(address, (each.get(address) ?? 0) + share / all.length)
  }
  if (each.size === 0) return '503'
  const sorted = [...each].sort(([a], [b]) => (a < b ? -1 : 1))
  return sorted.length === 1
    ? sorted[0]![0]
    : sorted.map(([where, share]) => `${where} ${Math.round(share * 100)}%`).join(' ')
}

export const annotationsOf = (ingress: Raw): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(ingress['metadata'].annotations ?? {}).map(([key, value]) => [key.split('/')[1], value as string]),
  )

const isCanary = (ingress: Raw): boolean => annotationsOf(ingress)['canary'] === 'true'
const ruled = (ingress: Raw, host: string): boolean =>
  ingress['spec'].rules.some((it: Raw) => (it['host'] ?? '') === host) ||
  (host === '' && ingress['spec'].defaultBackend !== undefined)
const trim = (path: string): string => path.replace(/\/+$/, '')
export const nameOf = ({ metadata }: Raw): string => `${metadata.namespace}/${metadata.name}`
