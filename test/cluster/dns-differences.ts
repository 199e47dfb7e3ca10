/**
 * Where answers differ from CoreDNS's, and why: what it gets wrong. All of it is here; each entry says what both answer, and
 * what is not just so is no such difference.
 */
import { TYPES, type Message, type Question } from '../contract/dns-message.ts'

export interface Asked {
  /** Name of the server block. */
  readonly block: string
  readonly question: Question
  /** Lower case, with the final dot. */
  readonly name: string
  readonly theirs: Message
  readonly ours: Message
  /** Names that CoreDNS answers in that server block, with what of: as `name`. */
  readonly alive: ReadonlySet<string>
  /** Names and parts of them that are ExternalName Services there. */
  readonly aliases: ReadonlySet<string>
}

export interface Difference {
  readonly name: string
  readonly reason: string
  /** A question about dns-cluster.ts's FIXED that shows it, of the server block of that name, or the first: name and type. */
  readonly example: readonly [name: string, type: number, block?: string]
  /** It is about what does not fit. */
  readonly truncates?: true
  readonly holds: (asked: Asked) => boolean
}

/** Of those that hold, the first; null: it is no known one. */
export const explain = (asked: Asked): Difference | null =>
  DIFFERENCES.find(({ truncates = false, holds }) => agreesElsewhere(asked, truncates) && holds(asked)) ?? null

/** What no difference excuses. */
const agreesElsewhere = ({ theirs, ours }: Asked, truncates: boolean): boolean =>
  theirs.question === ours.question &&
  theirs.edns === ours.edns &&
  (truncates ? theirs.truncated : theirs.truncated === ours.truncated)

export const DIFFERENCES: readonly Difference[] = [
  {
    name: 'additional records that do not fit',
    reason: 'RFC 2181 9: what may be left out is no truncation; it sends clients to TCP for them',
    example: ['many.shop.svc.cluster.local', TYPES.SRV],
    truncates: true,
    holds: ({ theirs, ours }) =>
      !ours.truncated &&
      ours.rcode === NOERROR &&
      isPart(theirs.answer, ours.answer) &&
      theirs.answer.length + theirs.additional.length > 0,
  },
  {
    name: 'truncated',
    reason: 'RFC 2181 9: a part of a set of records is none; it sends as many as fit',
    example: ['many-more.shop.svc.cluster.local', TYPES.A],
    truncates: true,
    holds: ({ theirs, ours }) => ours.truncated && ours.rcode === theirs.rcode && isPart(ours.answer, theirs.answer),
  },
  {
    name: 'ANY',
    reason: 'RFC 8482: HINFO, where it says that there is nothing',
    example: ['fixed.shop.svc.cluster.local', TYPES.ANY],
    holds: ({ question, name, theirs, ours }) =>
      question.type === TYPES.ANY &&
      theirs.answer.length === 0 &&
      ours.rcode === NOERROR &&
      ours.answer.length === 1 &&
      ours.answer[0]!.startsWith(`${name} 8482 TYPE13 `),
  },
  {
    name: 'SOA of a name that does not exist',
    reason: 'it denies the type without a look at the name; so it does not let such questions fall through, either',
    example: ['nothing.shop.svc.cluster.local', TYPES.SOA],
    holds: ({ question, theirs, ours }) =>
      question.type === TYPES.SOA &&
      isNoData(theirs) &&
      (isDenied(ours, NXDOMAIN) || (isReverse(question) && isFailure(ours))),
  },
  {
    name: 'empty non-terminal',
    reason: 'RFC 8020: what has names below it exists; it says NXDOMAIN, or lets the question fall through',
    example: ['_tcp.fixed.shop.svc.cluster.local', TYPES.A],
    holds: ({ name, theirs, ours, alive }) =>
      (isDenied(theirs, NXDOMAIN) || isFailure(theirs)) &&
      isNoData(ours) &&
      [...alive].some((below) => below.endsWith(`.${name}`)),
  },
  {
    name: 'reverse name, another type than PTR',
    reason: 'the name exists; it says NXDOMAIN, or lets the question fall through',
    example: ['2.250.244.10.in-addr.arpa', TYPES.A, 'verified'],
    holds: ({ question, name, theirs, ours, alive }) =>
      isReverse(question) &&
      question.type !== TYPES.PTR &&
      alive.has(name) &&
      (isDenied(theirs, NXDOMAIN) || isFailure(theirs)) &&
      isNoData(ours),
  },
  {
    name: 'SRV of a pod',
    reason: 'a pod has no ports; it invents port 0',
    example: ['10-1-2-3.shop.pod.cluster.local', TYPES.SRV],
    holds: ({ question, name, theirs, ours }) =>
      question.type === TYPES.SRV &&
      name.includes('.pod.') &&
      theirs.answer.every((record) => record.includes(' SRV 0 100 0 ')) &&
      isNoData(ours),
  },
  {
    name: 'address of a port',
    reason: 'names of ports have SRV records only (specification 2.3.2); it answers addresses there, too',
    example: ['_http._tcp.fixed.shop.svc.cluster.local', TYPES.A],
    holds: ({ question, name, theirs, ours, alive }) =>
      isAddress(question) && isPort(name) && alive.has(name) && theirs.rcode === NOERROR && isNoData(ours),
  },
  {
    name: 'port without underscores',
    reason: 'RFC 2782 wants `_http._tcp`; it takes `http.tcp`, too',
    example: ['http.tcp.fixed.shop.svc.cluster.local', TYPES.SRV],
    holds: ({ name, theirs, ours }) =>
      theirs.rcode === NOERROR && /^([^.]+\.){4}svc\./.test(name) && !isPort(name) && isDenied(ours, NXDOMAIN),
  },
  {
    name: 'SRV of an endpoint',
    reason: 'an addition of its own, which the specification does not have: the ports of one endpoint',
    example: ['fixed-0.fixed.shop.svc.cluster.local', TYPES.SRV],
    holds: ({ question, name, theirs, ours, alive }) =>
      question.type === TYPES.SRV &&
      /^([^.]+\.){3,4}svc\./.test(name) &&
      alive.has(name) &&
      theirs.answer.every((record) => record.startsWith(`${name} `) && record.endsWith(` ${name}`)) &&
      isNoData(ours),
  },
  {
    name: 'TXT of what has no records',
    reason: 'apex, svc, pod and namespaces exist; it denies them to who asks for TXT',
    example: ['lone.svc.cluster.local', TYPES.TXT],
    holds: ({ question, name, theirs, ours }) =>
      question.type === TYPES.TXT &&
      /^(([^.]+\.)?(svc|pod)\.)?cluster(set)?\.local\.$/.test(name) &&
      isDenied(theirs, NXDOMAIN) &&
      isNoData(ours),
  },
  {
    name: 'name of its own, other types',
    reason: 'dns-version has a TXT record and ns.dns addresses; it denies them to who asks for other types',
    example: ['dns-version.cluster.local', TYPES.A],
    holds: ({ name, theirs, ours }) =>
      /^(dns-version|ns\.dns)\.cluster(set)?\.local\.$/.test(name) && isDenied(theirs, NXDOMAIN) && isNoData(ours),
  },
  {
    name: 'name server in mixed case',
    reason: 'RFC 4343: case does not matter; it does there, for ns.dns and the NS records of a zone',
    example: ['ns.dns.CLUSTER.local', TYPES.A],
    holds: ({ question, name, theirs, ours }) =>
      (name === NAME_SERVER || question.type === TYPES.NS) &&
      question.labels.some((label) => label !== label.toLowerCase()) &&
      (isDenied(theirs, NXDOMAIN) || isNoData(theirs)) &&
      ours.rcode === NOERROR &&
      ours.answer.every((record) => record.startsWith(`${name} `)),
  },
  {
    name: 'NS of a reverse zone',
    reason: 'its name server is called as it is, in the zone of names; there it is called what does not exist',
    example: ['in-addr.arpa', TYPES.NS],
    holds: ({ question, name, theirs, ours }) =>
      question.type === TYPES.NS &&
      isReverse(question) &&
      theirs.answer.every((record) => record.endsWith(`.${name}`)) &&
      ours.answer.every((record) => record.endsWith(` NS ${SERVER}`)),
  },
  {
    name: 'NS with noendpoints',
    reason: 'it knows itself by its endpoints only; here the Service has the label k8s-app=kube-dns',
    example: ['cluster.local', TYPES.NS, 'bare'],
    holds: ({ question, name, theirs, ours, block }) =>
      block === 'bare' &&
      (question.type === TYPES.NS
        ? theirs.answer.every((record) => record.endsWith(` NS ${NAME_SERVER}`)) &&
          ours.answer.every((record) => record.endsWith(` NS ${SERVER}`))
        : name === NAME_SERVER && isAddress(question) && theirs.rcode === NOERROR && ours.rcode === NOERROR),
  },
  {
    name: 'address of a namespace that is not shown',
    reason: 'namespace_labels hides its Services; it shows their names to who asks for their addresses',
    example: ['7.250.244.10.in-addr.arpa', TYPES.PTR, 'disabled'],
    holds: ({ block, theirs, ours }) => block === 'disabled' && lacks(theirs, ours, /\.bank\.svc\./),
  },
  {
    name: 'address of a Service that is ignored',
    reason: 'with `ignore empty_service` its name does not exist; it shows the name to who asks for its address',
    example: ['77.250.96.10.in-addr.arpa', TYPES.PTR, 'disabled'],
    holds: ({ block, theirs, ours, alive }) =>
      block === 'disabled' &&
      theirs.answer.length === 1 &&
      !alive.has(theirs.answer[0]!.split(' ').at(-1)!) &&
      lacks(theirs, ours, /./),
  },
  {
    name: 'no reverse name',
    reason: 'labels that are no digits, or too many of them: it reads an address out of them all the same',
    example: ['x.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa', TYPES.PTR],
    holds: ({ question, name, theirs, ours }) =>
      question.type === TYPES.PTR &&
      isReverse(question) &&
      theirs.answer.length > 0 &&
      !/^(([0-9]+\.){4}in-addr|([0-9a-f]\.){32}ip6)\.arpa\.$/.test(name) &&
      (isDenied(ours, NXDOMAIN) || isFailure(ours)),
  },
  {
    name: 'svc and pod of a reverse zone',
    reason: 'there are none; it denies the type only, and the name to nobody',
    example: ['svc.ip6.arpa', TYPES.PTR, 'verified'],
    holds: ({ question, name, theirs, ours }) =>
      isReverse(question) && /^([^.]+\.)?(svc|pod)\./.test(name) && isNoData(theirs) && isDenied(ours, NXDOMAIN),
  },
  {
    name: 'pods of a set of clusters',
    reason: 'KEP-1645: it has Services only; it answers for pods there, too',
    example: ['10-1-2-3.shop.pod.clusterset.local', TYPES.A, 'imported'],
    holds: ({ name, theirs, ours }) =>
      /(^|\.)pod\.clusterset\.local\.$/.test(name) && theirs.rcode === NOERROR && isDenied(ours, NXDOMAIN),
  },
  {
    name: 'below a pod',
    reason: 'there is nothing; it answers the pod whatever one or two labels are before it',
    example: ['x.10-1-2-3.shop.pod.cluster.local', TYPES.A],
    holds: ({ question: { labels }, theirs, ours }) =>
      theirs.rcode === NOERROR &&
      labels.at(-3)?.toLowerCase() === 'pod' &&
      (labels.length === 6 || labels.length === 7) &&
      isDenied(ours, NXDOMAIN),
  },
  {
    name: 'alias, other types than A and AAAA',
    reason:
      'RFC 1034 3.6.2: an alias stands for any type (but SRV, as the specification has it); it denies all but A and AAAA',
    example: ['to-fixed.shop.svc.cluster.local', TYPES.TXT],
    holds: ({ question, name, theirs, ours, aliases }) =>
      !isAddress(question) &&
      aliases.has(name) &&
      isNoData(theirs) &&
      (ours.answer[0]?.startsWith(`${name} `) === true || isFailure(ours)),
  },
  {
    name: 'alias of what does not exist',
    reason: 'RFC 6604: NXDOMAIN with the alias; it drops the alias, and denies the type (coredns#6088)',
    example: ['to-missing.shop.svc.cluster.local', TYPES.A],
    holds: ({ question, name, theirs, ours, aliases }) =>
      isAddress(question) &&
      aliases.has(name) &&
      isNoData(theirs) &&
      ours.rcode === NXDOMAIN &&
      ours.answer[0]?.startsWith(`${name} `) === true,
  },
  {
    name: 'alias of what has no such address',
    reason: 'the alias is part of the answer (RFC 2308 2.2); it drops it',
    example: ['to-fixed.shop.svc.cluster.local', TYPES.AAAA],
    holds: ({ question, name, theirs, ours, aliases }) =>
      isAddress(question) &&
      aliases.has(name) &&
      isNoData(theirs) &&
      ours.rcode === NOERROR &&
      ours.answer.every((record) => record.includes(' CNAME ')) &&
      ours.answer.some((record) => record.startsWith(`${name} `)),
  },
  {
    name: 'alias whose target cannot be looked up',
    reason: 'SERVFAIL, so that resolvers ask again; it gives the alias alone, which is that there is none',
    example: ['to-outside.shop.svc.cluster.local', TYPES.A],
    holds: ({ name, theirs, ours, aliases }) =>
      aliases.has(name) &&
      theirs.rcode === NOERROR &&
      theirs.answer.every((record) => record.includes(' CNAME ')) &&
      isFailure(ours),
  },
]

const SERVER = 'kube-dns.kube-system.svc.cluster.local.'
const NAME_SERVER = 'ns.dns.cluster.local.'
const NOERROR = 0
const SERVFAIL = 2
const NXDOMAIN = 3

const isNoData = (message: Message): boolean => isDenied(message, NOERROR)
const isDenied = ({ rcode, answer, authority }: Message, code: number): boolean =>
  rcode === code && answer.length === 0 && authority.length === 1 && authority[0]!.includes(' SOA ')
const isFailure = ({ rcode, answer }: Message): boolean => rcode === SERVFAIL && answer.length === 0
const isPart = (part: readonly string[], whole: readonly string[]): boolean =>
  part.every((record) => whole.includes(record))
/** Ours is theirs without such records. */
function lacks(theirs: Message, ours: Message, what: RegExp): boolean {
  const left = theirs.answer.filter((record) => !what.test(record))
  if (theirs.answer.length === left.length) return false
  return left.length === 0 ? isDenied(ours, NXDOMAIN) : left.join() === ours.answer.join()
}
const isAddress = ({ type }: Question): boolean => type === TYPES.A || type === TYPES.AAAA
/** RFC 2782. */
const isPort = (name: string): boolean => /^_[^.]+\._[^.]+\./.test(name)
const isReverse = ({ labels }: Question): boolean => labels.at(-1)?.toLowerCase() === 'arpa'
