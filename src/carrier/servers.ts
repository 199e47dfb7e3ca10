// Written by `npm run wire` from native/wire. Change it there.

/** The first rule that has a policy for the query decides; none is allowed. */
export type Acl = { rules: Array<AclRule> }

/** Block: REFUSED, with extended error 15. Filter: NODATA, with 17. Drop: no answer. */
export type AclAction = 'allow' | 'block' | 'filter' | 'drop'

export type AclPolicy = {
  action: AclAction
  /** Empty is every type. */
  types: Array<number>
  /** Of clients, `10.0.0.0/8`. Empty is everybody. */
  networks: Array<string>
}

export type AclRule = { zones: Array<string>; policies: Array<AclPolicy> }

/** A name in the answer that the pattern matches becomes `to` as a whole. */
export type AnswerChange = { what: AnswerPart; pattern: string; to: Array<TextPart> }

/** Owners, or names in the data of CNAME, DNAME, SOA, SRV, MX, NAPTR, NS and PTR. */
export type AnswerPart = 'name' | 'value'

/** ANY is answered with HINFO (RFC 8482). */
export type Any = Record<symbol, never>

/** A name of the first search domain that does not exist is tried in the others, before the client does. */
export type Autopath = {
  zones: Array<string>
  search: Array<string>
  /** `autopath @kubernetes`: what a client's own search list begins with. */
  pods: AutopathPods | null
}

/**
 * A client of the namespace NS searches `NS.svc.ZONE`, `svc.ZONE` and `ZONE` first. Who is in which namespace are rows of the
 * set: the reverse name of an address has a TXT record, namespace and name of the pod. No row, or one without it: nobody
 * knows, and the client searches by itself.
 */
export type AutopathPods = {
  set: string
  /** Of names of the cluster. */
  zones: Array<string>
}

/** A requester's UDP payload size above this is taken to be this. 512 to 4096. */
export type Bufsize = { size: number }

/** Of what the steps below answer, names of these zones only. */
export type Cache = {
  zones: Array<string>
  success: CacheShare
  /** NXDOMAIN and NODATA. */
  denial: CacheShare
  prefetch: Prefetch | null
  serveStale: ServeStale | null
  /** How long a SERVFAIL is kept; 0 is not at all, 300,000 at most. */
  servfailMs: number
  /** Answers show the TTL that was cached, not what is left of it. */
  keepTtl: boolean
}

export type CacheShare = {
  /** Answers; 1,024 at least. */
  capacity: number
  maxTtl: number
  minTtl: number
  /** Names of these zones are not cached. */
  except: Array<string>
}

/** A query that took longer is answered with SERVFAIL. */
export type Cancel = { timeoutMs: number }

export type Change =
  | {
      field: 'name'
      matching: Matching
      /** What takes the place of what matched: of the whole name for exact and regex, else of that part. */
      to: Array<TextPart>
      /** Names in the answer are put back: suffixes for a suffix rule, else the rewritten name to the asked one. */
      auto: boolean
      answer: Array<AnswerChange>
    }
  | { field: 'type'; from: number; to: number }
  | { field: 'class'; from: number; to: number }
  | {
      field: 'edns0'
      action: Edns0Action
      option: Edns0Option
      /** The answer does not show what was changed. */
      revert: boolean
    }
  | { field: 'ttl'; matching: Matching; min: number; max: number }
  | { field: 'rcode'; matching: Matching; from: number; to: number }
  | { field: 'cname'; matching: Matching; to: Array<TextPart> }

/** version.bind, version.server, authors.bind, hostname.bind and id.server in class CH. */
export type Chaos = {
  /** At most 255 octets each. */
  version: string
  authors: Array<string>
}

export type ClientAuth = 'noCert' | 'request' | 'require' | 'verifyIfGiven' | 'requireAndVerify'

/** Errors that a pattern matches are counted and said once a period. The first pattern that matches has them. */
export type Consolidate = {
  periodMs: number
  pattern: string
  level: LogLevel
  /** The first of a period is said at once, too. */
  showFirst: boolean
}

/** RFC 6147. */
export type Dns64 = {
  /** `64:ff9b::/96`; 32, 40, 48, 56, 64 or 96 bits long. */
  prefix: string
  /** Also where there is an AAAA record. */
  translateAll: boolean
  /** Also for clients that ask over IPv4. */
  allowIpv4: boolean
}

/** Replace: only what is there. Append: only where there is none. Set: either. Unset: removes. */
export type Edns0Action = 'set' | 'append' | 'replace' | 'unset'

export type Edns0Data = { octets: string } | { variable: Edns0Variable } | { metadata: string }

export type Edns0Option =
  | { kind: 'local'; code: number; data: Edns0Data }
  | { kind: 'nsid' }
  | { kind: 'subnet'; ipv4Bits: number; ipv6Bits: number }

/** Name and protocol as text, the rest as on the wire: two octets a number, four or sixteen an address. */
export type Edns0Variable = 'qname' | 'qtype' | 'clientIp' | 'clientPort' | 'protocol' | 'serverIp' | 'serverPort'

export type Errors = { consolidate: Array<Consolidate> }

export type ExtendedError = { code: number; text: string }

/**
 * Zones whose records are rows of a set, SOA and NS records of the apex among them, with wildcards (RFC 4592) and NS records
 * of what is delegated. The longest zone that holds the name answers; transfers are refused. A zone whose SOA record is not
 * there is not loaded: SERVFAIL.
 */
export type File = { zones: Array<FileZone>; fallthrough: Array<string> | null }

export type FileZone = { zone: string; set: string }

export type Flag = 'aa' | 'ra' | 'rd'

export type FlagRule = { flag: Flag; set: boolean }

export type Forward = {
  /** Names of this zone. */
  from: string
  /** ... but not of these. */
  except: Array<string>
  /** 1 to 15. */
  upstreams: Array<Upstream>
  policy: Policy
  forceTcp: boolean
  preferUdp: boolean
  /** How long a connection that is not used is kept. */
  expireMs: number
  /** How long a connection is used at most. */
  maxAgeMs: number | null
  /** Connections that are not used, of each upstream. */
  maxIdleConnections: number | null
  /** Of one try. */
  readTimeoutMs: number
  /** So many failed checks in a row make an upstream down; 0 is never, and no checks. */
  maxFails: number
  /** Tries of one query; absent is twice the number of upstreams, 0 without bound. */
  maxConnectAttempts: number | null
  healthCheck: HealthCheck
  /** More queries at a time are REFUSED. */
  maxConcurrent: number | null
  /** With one of these rcodes the next step is asked. */
  next: Array<number>
  /** ... and with NODATA. */
  nextOnNodata: boolean
  /** With one of these rcodes the next upstream is asked. */
  failover: Array<number>
  /** All upstreams down is SERVFAIL; else a random one is asked. */
  failFast: boolean
  sourceAddress: string | null
  /** For upstreams whose transport is `tls`. */
  tls: UpstreamTls
}

export type Header = { query: Array<FlagRule>; response: Array<FlagRule> }

/** `/health`: 200 while the process lives. */
export type Health = {
  listen: HttpListen
  /** How long to answer queries on, unhealthy, after being told to end. */
  lameduckMs: number
}

/** Asked of an upstream after an error, until it answers anything. */
export type HealthCheck = {
  intervalMs: number
  recursionDesired: boolean
  /** The name, of type NS. */
  domain: string
}

/**
 * Addresses of hosts files and of the Corefile: rows of the set. A name that has none is SERVFAIL, or falls through; PTR
 * records answer outside of the zones as well, and fall through always. A row's name may be a wildcard, `*.example.org.`,
 * which stands for one label. A name that is only part of others does not exist: `hosts` with `db.example.org` has no say
 * about `example.org`.
 */
export type Hosts = {
  set: string
  zones: Array<string>
  ttl: number
  fallthrough: Array<string> | null
  /** Types other than A, AAAA and PTR fall through as well, where names do. */
  fallthroughUnsupported: boolean
}

export type How = 'exact' | 'prefix' | 'suffix' | 'substring' | 'regex'

/** Where an HTTP server of the carrier listens. Several steps of one address share one server. */
export type HttpListen = {
  /** Absent is every address, of both families. */
  address: string | null
  port: number
}

export type Kubernetes = { set: string; zones: Array<string>; ttl: number; fallthrough: Array<string> | null; soa: Soa }

/** The addresses of an answer come in random order, CNAMEs before them. */
export type Loadbalance = {
  /** Addresses in these networks (`10.0.0.0/8`) come first, in this order. */
  prefer: Array<string>
}

/** localhost, 127.in-addr.arpa and the like are answered here (RFC 6303). */
export type Local = {
  /** `localhost.ANYTHING.` is localhost, too. */
  localhostPrefix: boolean
}

/** The first rule whose zone holds the name and whose classes hold the answer's prints a line. */
export type Log = { rules: Array<LogRule> }

/** Success: NOERROR with an answer, and delegations. Denial: NXDOMAIN and NODATA. Error: the rest. */
export type LogClass = 'all' | 'success' | 'denial' | 'error'

/** CoreDNS's `{name}`s and `{>name}`s. A field that has no value prints `-`. */
export type LogField =
  | 'type'
  | 'name'
  | 'class'
  | 'proto'
  | 'size'
  | 'remote'
  | 'port'
  | 'local'
  | 'rcode'
  | 'rsize'
  | 'duration'
  | 'id'
  | 'opcode'
  | 'do'
  | 'bufsize'
  | 'rflags'

export type LogLevel = 'debug' | 'info' | 'warning' | 'error'

export type LogPart = { text: string } | { field: LogField } | { metadata: string }

export type LogRule = { zone: string; classes: Array<LogClass>; format: Array<LogPart> }

/** A random name of this zone is sent to ourselves at the start: seen more than twice, queries go round in circles. */
export type Loop = { zone: string }

/** Of a name, in lower case and with its final dot. */
export type Matching = {
  how: How
  /** Compared as text; for `regex` a pattern, which may match anywhere in the name. */
  text: string
}

/**
 * What is known of a query whose name is in these zones, by label: `kubernetes/service`. Nothing by itself: `log` and `rewrite`
 * name labels.
 */
export type Metadata = {
  zones: Array<string>
  /** Of the `kubernetes` of the same server; absent: there is none. */
  kubernetes: MetadataKubernetes | null
}

export type MetadataKubernetes = {
  /** All of them, reverse ones too. */
  zones: Array<string>
  /** Those of `zones` with the Services of other clusters. */
  multicluster: Array<string>
  /**
   * The set that tells who asks: as `AutopathPods` has it, and behind namespace and name a text `KEY=VALUE` for each label
   * of the pod that is asked for. Absent: nobody asks, or nobody knows.
   */
  clients: string | null
}

/** Authority and additional sections are left out where an answer does not need them. */
export type Minimal = Record<symbol, never>

/** RFC 5001: sent to who asks for it. */
export type Nsid = {
  /** Text; its octets are the identifier. */
  data: string
}

export type Policy = 'random' | 'round_robin' | 'sequential'

/**
 * An answer that was asked for so many times, with gaps below the duration, is fetched again when less than the percentage
 * (10 to 90) of its TTL is left.
 */
export type Prefetch = { amount: number; durationMs: number; percentage: number }

/** `/metrics`, and whether queries of this server are counted. */
export type Prometheus = { listen: HttpListen }

/** `/ready`: 200 once every set that a step of any server answers from is there. */
export type Ready = {
  listen: HttpListen
  /** May turn 503 again; else the first 200 stays. */
  continuously: boolean
}

export type Rewrite = { rules: Array<RewriteRule> }

export type RewriteRule = {
  /** When it applied, later rules are passed over. */
  stop: boolean
  change: Change
}

/** RFC 8767. */
export type ServeStale = {
  /** How long after its end an answer may still be given. */
  upToMs: number
  /** The source is asked first, and the stale answer given only when it fails; else given at once, and asked after. */
  verify: boolean
  /** How long the source is waited for; 0 is until it has failed. */
  verifyTimeoutMs: number
  /** Of a stale answer. */
  ttl: number
  /** After a failed refresh the next one waits so long; 300,000 at most. */
  recheckMs: number
  /** An answer that says something, stale or not, before one that denies it. */
  preferPositive: boolean
}

export type ServerListen = {
  transport: ServerTransport
  /** `::` is IPv6 only, and left out where the kernel has no IPv6. */
  address: string
  port: number
}

export type ServerRow = {
  listen: Array<ServerListen>
  /** Absolute, lower case; `.` is everything. */
  zones: Array<string>
  /** In CoreDNS's order of plugins. */
  steps: Array<Step>
}

export type ServerTransport = 'dns' | 'tls'

/**
 * The SOA record of each zone of a step: `PRIMARY.ZONE MAILBOX.ZONE SERIAL REFRESH RETRY EXPIRE MINIMUM`, where the serial is
 * of the table's last change.
 */
export type Soa = {
  /** `ns.dns`: labels below the zone. */
  primary: string
  /** `hostmaster`. */
  mailbox: string
  /** Of the record itself. */
  ttl: number
  refresh: number
  retry: number
  expire: number
  minimum: number
}

/** One plugin of a server block. In a row they are in CoreDNS's order, which is not that of the file. */
export type Step =
  | ({ plugin: 'metadata' } & Metadata)
  | ({ plugin: 'cancel' } & Cancel)
  | ({ plugin: 'timeouts' } & Timeouts)
  | ({ plugin: 'nsid' } & Nsid)
  | ({ plugin: 'bufsize' } & Bufsize)
  | ({ plugin: 'ready' } & Ready)
  | ({ plugin: 'health' } & Health)
  | ({ plugin: 'prometheus' } & Prometheus)
  | ({ plugin: 'errors' } & Errors)
  | ({ plugin: 'log' } & Log)
  | ({ plugin: 'local' } & Local)
  | ({ plugin: 'dns64' } & Dns64)
  | ({ plugin: 'any' } & Any)
  | ({ plugin: 'chaos' } & Chaos)
  | ({ plugin: 'loadbalance' } & Loadbalance)
  | ({ plugin: 'rewrite' } & Rewrite)
  | ({ plugin: 'autopath' } & Autopath)
  | ({ plugin: 'acl' } & Acl)
  | ({ plugin: 'cache' } & Cache)
  | ({ plugin: 'header' } & Header)
  | ({ plugin: 'tls' } & Tls)
  | ({ plugin: 'minimal' } & Minimal)
  | ({ plugin: 'template' } & Template)
  | ({ plugin: 'hosts' } & Hosts)
  | ({ plugin: 'kubernetes' } & Kubernetes)
  | ({ plugin: 'file' } & File)
  | ({ plugin: 'loop' } & Loop)
  | ({ plugin: 'forward' } & Forward)
  | ({ plugin: 'whoami' } & Whoami)

/** Tried in order; the first whose zones, class, type and a pattern match answers. */
export type Template = { templates: Array<TemplateRule> }

export type TemplatePart =
  | { text: string }
  | 'name'
  | 'zone'
  | 'class'
  | 'type'
  | 'remote'
  | { group: number }
  | { namedGroup: string }
  | { number: { group: string; base: number; bits: number } }

/**
 * A record with holes. What the parts of owner and of a field make up is presentation form; where it is not (no address, no
 * name), the query gets SERVFAIL. A name without its final dot gets one.
 */
export type TemplateRecord = {
  owner: Array<TemplatePart>
  ttl: number
  /** A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV or CAA. */
  type: number
  /** The fields of the data in the order of the master file (RFC 1035 5.1), quotes and brackets taken off. */
  data: Array<Array<TemplatePart>>
}

export type TemplateRule = {
  /** 255 is any. */
  class: number
  /** 255 is any. */
  type: number
  zones: Array<string>
  /** Of the name; empty matches every one. The first that matches gives the groups. */
  patterns: Array<string>
  answer: Array<TemplateRecord>
  additional: Array<TemplateRecord>
  authority: Array<TemplateRecord>
  rcode: number
  /** RFC 8914. */
  extendedError: ExtendedError | null
  /** Where zones, class and type match and no pattern does: the next template, then the next step. Else SERVFAIL. */
  fallthrough: Array<string> | null
}

export type TextPart = { text: string } | { group: number } | { metadata: string }

/** Of connections (TCP, TLS); absent is the server's own default. 1 s to 24 h each. */
export type Timeouts = {
  readMs: number | null
  writeMs: number | null
  idleMs: number | null
  /** After so many queries a connection is closed; absent is never. */
  maxQueries: number | null
}

/** The certificate of a server whose transport is `tls`. Paths of PEM files. */
export type Tls = {
  certificate: string
  key: string
  /** Whom clients' certificates are verified by. */
  ca: string | null
  clientAuth: ClientAuth
}

export type Upstream = {
  transport: UpstreamTransport
  /** An address; IPv6 without brackets, link-local ones with `%INTERFACE`. */
  address: string
  port: number
  /** What its certificate must be for; absent is its address. */
  serverName: string | null
}

/** Paths of PEM files. Without a CA the system's are trusted. */
export type UpstreamTls = { certificate: string | null; key: string | null; ca: string | null }

export type UpstreamTransport = 'dns' | 'tls'

/** Tells a client its own address and port. */
export type Whoami = Record<symbol, never>
