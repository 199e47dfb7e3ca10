// Written by `npm run wire` from native/wire. Change it there.

/** Lines on standard output. */
export type AccessLog = {
  /** ingress-nginx's `log-format-upstream`: text with `$variables`. Absent: JSON, one object a line. */
  format?: string
  /** One in so many requests; those that end in 5xx all are. */
  sample: number
}

export type Action = { forward: Forward } | { redirect: Redirect } | { respond: Respond }

/** At most 10,000 answers. */
export type AuthCache = {
  /** With `$variables`. */
  key: string
  statuses: Array<AuthCacheStatus>
}

export type AuthCacheStatus = {
  /** Empty: every one. */
  statuses: Array<number>
  ms: number
}

export type BackendProtocol = 'http1' | 'http2' | 'raw'

export type BackendTls = {
  /** SNI, and the name that the certificate is to have; absent: no SNI. */
  serverName?: string
  verify: VerifyBackend
  /** Certificates between the backend's and the authority's, at most (OpenSSL's depth); absent: any number. */
  depth?: number
  /** Of table `secrets`: the certificate shown to the backend. */
  certificate?: string
  protocols: Array<TlsVersion>
}

export type Balance = 'roundRobin' | 'leastRequest' | { hash: string }

/** RFC 7617. */
export type BasicAuth = {
  /** Of table `secrets`. One that is not there: 503. */
  users: string
  realm: string
}

/** Above: 503. */
export type Circuit = {
  connectionsMax: number
  /** Under way. */
  requestsMax: number
}

export type ClientCertificate = 'on' | 'optional' | 'optionalNoCa'

/** Requests whose Host differs from a name that asks for certificates get 421. */
export type ClientCertificates = {
  /** Of table `secrets`: who signs them. */
  trust: string
  required: ClientCertificate
  depth: number
  /** Where a client without a good one is sent; absent: 400, as nginx does. */
  errorPage?: string
  /** The certificate goes to the backend in `ssl-client-cert` (URL encoded PEM), `ssl-client-subject-dn` and so on always. */
  pass: boolean
  /** A pattern that is found in the subject (RFC 2253), else 403. */
  subject?: string
}

/**
 * What is known of its endpoints (ejections, connections, who is stuck to which) outlives a change of this row. Without an
 * endpoint: 503. One whose endpoints are all draining sends to those.
 */
export type Cluster = {
  name: string
  protocol: BackendProtocol
  tls?: BackendTls
  balance: Balance
  sticky?: StickyCookie
  ejection?: Ejection
  circuit: Circuit
  keepAlive: KeepAlive
  /**
   * Where this proxy is. When every endpoint says for which zones it is meant, and one is meant for this zone, those that
   * are get the requests, as kube-proxy has it (KEP-2433).
   */
  zone?: string
  proxyProtocol?: ProxyVersion
  /** Its endpoints are the addresses of this name, looked up again and again, instead of rows. */
  resolve?: Resolve
}

/** Of responses whose backend has not encoded them, to clients that accept it. */
export type Compression = {
  /** The first that the client accepts. */
  encodings: Array<Encoding>
  /** 1 to 9, for each algorithm what comes nearest. */
  level: number
  minBytes: number
  /** Media types without parameters; `*` is any. */
  types: Array<string>
}

export type Condition = {
  on: On
  /**
   * Without regard to case for headers; empty for `method`. X-Forwarded-* are those that the backend would get: of a
   * client that is not trusted, the listener's own.
   */
  name: string
  value: ValueMatch
}

/** Of Set-Cookie: each pair from, to. */
export type CookieEdit = { domains: Array<[string, string]>; paths: Array<[string, string]> }

/** Fetch standard, 3.2. A preflight request is answered here. */
export type Cors = {
  /** `*`, `https://a.example`, `https://*.example:8443`. */
  origins: Array<string>
  methods: Array<string>
  headers: Array<string>
  expose: Array<string>
  credentials: boolean
  maxAgeSeconds: number
}

/** An endpoint that fails (no connection, 502, 503, 504) so often in a row is passed over for a while, longer each time. */
export type Ejection = {
  failures: number
  baseMs: number
  maxMs: number
  /** Of the cluster's endpoints; above, none more is passed over. */
  maxPercent: number
}

export type Encoding = 'gzip' | 'br' | 'zstd'

export type Endpoint = {
  cluster: string
  address: string
  port: number
  weight: number
  /** For which it is meant; absent: for all. */
  zones?: Array<string>
  /**
   * It gets nothing new but what is stuck to it; requests and upgraded connections under way go on. So it is with one that
   * was removed, too.
   */
  draining: boolean
  /** For log and metrics: a pod's name. */
  label: string
}

/**
 * Responses with these statuses are fetched from the cluster, by GET of `/` with the query of the request, its header
 * fields, X-Code, X-Format (of Accept), X-Original-URI and X-Request-ID. Where that fails they stay as they were.
 */
export type ErrorPages = {
  statuses: Array<number>
  cluster: string
  /** Besides. */
  headers: Array<[string, string]>
}

/**
 * Another server is asked first, without the body: 2xx lets the request pass; 401 (with its WWW-Authenticate) and 403 are
 * the answer; all else is 500.
 */
export type ExternalAuth = {
  cluster: string
  /** Scheme, host and path, with `$variables`. */
  url: string
  /** Absent: GET. Present: X-Original-URI and X-Scheme are sent, too. */
  method?: string
  /** Of its response, given to the backend; what the client says in them never is. */
  responseHeaders: Array<string>
  /** Set on the question. */
  requestHeaders: Array<[string, string]>
  /** Where 401 leads, with `$variables`; the request's own URL is added as `rd`, or `redirectParameter`. */
  signIn?: string
  redirectParameter: string
  cache?: AuthCache
  /** Set-Cookie of its answers reaches the client with every status, not only with good ones. */
  alwaysSetCookie: boolean
  timeoutMs: number
}

export type Filters = {
  sources?: Sources
  limits?: Limits
  basic?: BasicAuth
  external?: ExternalAuth
  /** One of `sources`, `basic` and `external` is enough; else all must agree. */
  satisfyAny?: boolean
  cors?: Cors
  requestHeaders?: HeaderEdit
  responseHeaders?: HeaderEdit
  cookies?: CookieEdit
  /** Of Location and Refresh: from, to (ingress-nginx's proxy-redirect-from and -to). */
  locations?: [string, string]
  errors?: ErrorPages
  /** Requests with a scheme, host or path of their own are not upgraded (RFC 9110 7.8) when this is false. */
  upgrades?: boolean
  accessLog?: boolean
  tracing?: boolean
  /** Prefix sent in X-Forwarded-Prefix. */
  forwardedPrefix?: string
}

export type Forward = {
  /** One is taken by weight; none with a weight: 503. A client that is stuck to an endpoint of one of them stays with it. */
  clusters: Array<Weighted>
  rewrite?: Replacement
  /** The backend's Host; absent: as the client sent it. */
  host?: string
  timeouts: Timeouts
  retry: Retry
  /** Above: 413. Absent: any size. */
  bodyMaxBytes?: number
  /**
   * The whole body is taken (up to `bodyMaxBytes`, at most 1 MiB in memory) before a backend is chosen, so that the
   * request can be tried again.
   */
  bufferRequest: boolean
  /** The response is taken from the backend at its own speed, up to so many octets; 0: at the client's. */
  bufferResponseBytes: number
  mirrors: Array<Mirror>
}

/** In this order: remove, set, add. Values may have `$variables`. */
export type HeaderEdit = { remove: Array<string>; set: Array<[string, string]>; add: Array<[string, string]> }

export type Http = {
  /** Whose X-Forwarded-*, Forwarded and X-Real-IP are believed; everybody else's are replaced. */
  trusted: Array<string>
  /** The client's address is read from it when a trusted one sends it: `X-Forwarded-For`. */
  forwardedHeader: string
  /** X-Forwarded-For gets the address of who connected added; else it is that alone. */
  appendForwarded: boolean
  /** Request line and header fields together, and each alone in HTTP/2 (decoded). Above: 431. */
  headMaxBytes: number
  headerFieldsMax: number
  /** Until a request's head is complete. Above: 408. */
  headTimeoutMs: number
  /** Between two pieces of a request's body. Above: 408. */
  bodyTimeoutMs: number
  /** A connection without a request ends. */
  idleTimeoutMs: number
  /** Then a connection is closed, or told GOAWAY. */
  requestsMax: number
  streamsMax: number
  /** Header fields whose name has an underscore are dropped unless this is true. */
  underscores: boolean
  /** Of responses that the proxy makes itself; empty: none. */
  server: string
  compression?: Compression
  accessLog?: AccessLog
  tracing?: Tracing
  /** Paths of which no access log is written. */
  quietPaths: Array<string>
}

export type Https = {
  http: Http
  /** `TLSv1.2`, `TLSv1.3`; at least one. */
  protocols: Array<TlsVersion>
  /** As OpenSSL names them, those that rustls has not are passed over; empty: all that rustls thinks safe. */
  ciphers: Array<string>
  /** RFC 5077, RFC 8446 2.2. */
  sessionTickets: boolean
  /** HTTP/2 by ALPN. */
  http2: boolean
}

/** Of connections to backends. */
export type KeepAlive = {
  /** Idle ones of one endpoint and thread. */
  connections: number
  idleMs: number
  requestsMax: number
}

/** By client address, in this proxy; routes that give the same name share what they allow. */
export type Limits = {
  name: string
  rates: Array<Rate>
  /** At once; 0: any number. */
  connections: number
  /** Clients without limits. */
  exempt: Array<string>
  status: number
  /** Octets a second of a response, after the first `rateAfterBytes`; 0: no limit. */
  rateBytes: number
  rateAfterBytes: number
}

/** Removed: it takes no new connection, and those it has finish (`drainMs`). */
export type Listener = {
  name: string
  /** `::` is IPv6 only, and left out where the kernel has no IPv6. */
  addresses: Array<string>
  port: number
  serves: Serves
  /** PROXY protocol, versions 1 and 2, is required of clients in these networks and taken for payload from all others. */
  proxyProtocol: Array<string>
  /** Until its header is complete; the connection ends. */
  proxyProtocolTimeoutMs: number
  drainMs: number
}

/** A copy of the request whose response is thrown away. */
export type Mirror = {
  cluster: string
  ppm: number
  host?: string
  /** Path and query, with `$request_uri`; absent: as it came. */
  target?: string
  withBody: boolean
}

export type On = 'method' | 'header' | 'query' | 'cookie'

/** PEM. The key is the leaf's, which comes first. */
export type Pair = {
  chain: string
  key: string
  /** Shown only to clients that offer the protocol `acme-tls/1` for this name (RFC 8737). */
  challenge?: string
}

/** Of the normalised path: percent-encoding of unreserved characters undone, dot segments resolved, slashes merged. */
export type PathMatch = { exact: string } | { prefix: string } | { start: string } | { pattern: PathPattern }

export type PathPattern = { pattern: string; ignoreCase: boolean }

/** A row of table `proxy`. Keys are the controller's own; rows refer to each other by `name`. */
export type ProxyRow =
  | ({ kind: 'listener' } & Listener)
  | ({ kind: 'sni' } & Sni)
  | ({ kind: 'route' } & Route)
  | ({ kind: 'cluster' } & Cluster)
  | ({ kind: 'endpoint' } & Endpoint)
  | ({ kind: 'thumbprint' } & Thumbprint)

export type ProxyVersion = 'v1' | 'v2'

/** A token bucket: `burst` at once, then `requests` in each `perMs`. */
export type Rate = { requests: number; perMs: number; burst: number }

/** What is absent is the request's own; with the query. */
export type Redirect = {
  status: number
  /** All of it, with `$variables` of ingress-nginx (`$scheme`, `$host`, `$request_uri`, ...); the others are not read then. */
  location?: string
  scheme?: string
  host?: string
  /** Absent: that of the scheme. */
  port?: number
  path?: Replacement
}

export type Relayed = {
  cluster: string
  connectMs: number
  /** Without an octet or datagram either way. */
  idleMs: number
  /** Datagrams that a backend answers each of a client's with; then the flow ends. 0: any number. */
  responses: number
}

/** Of the path; the query stays. */
export type Replacement = { prefix: string } | { full: string } | { pattern: string }

export type Resolve = {
  /** As resolv.conf says, search domains included; or an address. While it cannot be looked up, its last addresses stay. */
  name: string
  port: number
  /** At most so often, at least every five minutes; in between, when the answer's TTL is over. */
  everyMs: number
}

export type Respond = { status: number; headers: Array<[string, string]>; body: string }

/**
 * To another endpoint each time, only while nothing of the response has reached the client, and no more than a fifth of
 * the requests under way at a cluster (three may always be).
 */
export type Retry = {
  /** All in all, the first included. */
  tries: number
  /** No further try begins after so long; 0: none. */
  withinMs: number
  onError: boolean
  onTimeout: boolean
  /** Statuses of responses. */
  onStatuses: Array<number>
  /** POST, LOCK and PATCH, too. */
  nonIdempotent: boolean
}

/**
 * Of the routes of the host that fits best (exact, wildcard, empty), the one with the lowest rank whose path and
 * conditions all match takes the request; of equal ranks, that with the lowest key. None: 404.
 */
export type Route = {
  host: string
  /** Names of listeners. */
  listeners: Array<string>
  path: PathMatch
  conditions: Array<Condition>
  /** Below 2^53. */
  rank: number
  action: Action
  filters?: Filters
  /** Of metrics and log: `namespace`, `ingress`, `service`, `path`; of `$service_port`: `port`. */
  labels: { [key in string]: string }
}

export type SameSite = 'Strict' | 'Lax' | 'None'

/** Key: its name, by which rows of table `proxy` mean it. */
export type SecretRow = ({ kind: 'pair' } & Pair) | ({ kind: 'trust' } & Trust) | ({ kind: 'users' } & Users)

export type Serves = { http: Http } | { https: Https } | { tcp: Relayed } | { udp: Relayed }

export type Shown = {
  /** Of table `secrets`. One that is not there: the handshake ends with unrecognized_name. */
  certificate: string
  clients?: ClientCertificates
}

export type Shows = { certificate: Shown } | { passthrough: string }

/** What a TLS client that asks for a host is shown (RFC 6066 3). The host that fits best counts: exact, wildcard, empty. */
export type Sni = {
  host: string
  /** Names of listeners. */
  listeners: Array<string>
  shows: Shows
}

/** Else 403. A client in `deny` is refused, and one that is not in `allow` unless that is empty. */
export type Sources = { allow: Array<string>; deny: Array<string> }

/** The cookie names an endpoint, not its address. */
export type StickyCookie = {
  name: string
  path: string
  domain?: string
  /** Absent: for the session. */
  maxAgeSeconds?: number
  expiresSeconds?: number
  sameSite?: SameSite
  /** Absent: on TLS. */
  secure?: boolean
  /** A client whose endpoint failed gets another for good. */
  changeOnFailure: boolean
}

/**
 * Of an ACME account (RFC 8555 8.1): every listener of `http` answers `/.well-known/acme-challenge/TOKEN`, for any well-formed
 * token, with `TOKEN.THUMBPRINT`, where no route with that path stands.
 */
export type Thumbprint = {
  thumbprint: string
  /** Of the hosts that this account answers for; empty: all. */
  hosts: Array<string>
}

export type Timeouts = {
  connectMs: number
  /** Between two pieces that the backend sends. Before the response's head: 504. */
  readMs: number
  /** Between two pieces that the backend takes. */
  sendMs: number
  /** Of the whole request, retries and all; 0: none. */
  requestMs: number
}

export type TlsVersion = 'TLSv1.2' | 'TLSv1.3'

/** W3C trace context, made or continued, and exported by OTLP over HTTP. */
export type Tracing = {
  /** `http://collector.monitoring:4318/v1/traces`, or https; `grpc://collector.monitoring:4317`, or grpcs. */
  endpoint: string
  service: string
  /** Requests whose route says nothing of it are traced, too. */
  always: boolean
  /** Of traces that begin here, 0 to 1,000,000 of a million. */
  samplePpm: number
  /** A client's traceparent is continued, and decides. */
  trustParent: boolean
}

/** PEM, certificates of authorities and lists of those they revoked. */
export type Trust = { certificates: string; revoked: string }

/** Lines `NAME:HASH` of htpasswd(1): bcrypt, `$apr1$`, `{SHA}`, crypt(3)'s SHA-256 and SHA-512. */
export type Users = { lines: Array<string> }

export type ValueMatch = { exact: string } | { pattern: string } | 'present' | 'absent'

export type VerifyBackend = 'nothing' | { trust: string } | 'system'

export type Weighted = {
  cluster: string
  weight: number
  /** Only for requests that go to it. */
  filters?: Filters
}
