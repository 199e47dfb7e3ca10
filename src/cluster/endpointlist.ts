/** An endpoint of an EndpointSlice, reduced to what derivations read. */
export interface Endpoint {
  /** addresses[0]: the only one consumers may use (API documentation). Canonical. */
  readonly address: string
  /** nil means true. */
  readonly ready: boolean
  /** nil means the same as ready. */
  readonly serving: boolean
  /** nil means false. */
  readonly terminating: boolean
  readonly node: string | null
  readonly zone: string | null
  /** hints.forZones / hints.forNodes; null: no such hint. */
  readonly hintZones: readonly string[] | null
  readonly hintNodes: readonly string[] | null
}

/** What DNS calls an endpoint: read only where names are made of it. */
export interface EndpointNames {
  /** A DNS label (RFC 1123); null: it has none. */
  readonly hostname: string | null
  /** targetRef.name, only where it was asked for and is a DNS label. */
  readonly pod: string | null
}

/**
 * Endpoints by columns: a sixth of what a list of objects takes, and they are what an agent holds most of. Two lists of the
 * same endpoints in the same order are structurally the same.
 */
export interface EndpointList {
  readonly count: number
  /** Separated by spaces, which no address has. */
  readonly addresses: string
  /** A digit each: 4 ready, 2 serving, 1 terminating. */
  readonly states: string
  /** null: all of them are null. */
  readonly nodes: Column<string>
  readonly zones: Column<string>
  readonly hintZones: Column<readonly string[]>
  readonly hintNodes: Column<readonly string[]>
  /** Separated by spaces, '' for who has none; null: nobody has one. */
  readonly hostnames: string | null
  readonly pods: string | null
}

type Column<T> = readonly (T | null)[] | null

export function packEndpoints(list: readonly (Endpoint & Partial<EndpointNames>)[]): EndpointList {
  return {
    count: list.length,
    addresses: list.map(({ address }) => address).join(' '),
    states: list
      .map(({ ready, serving, terminating }) => (ready ? 4 : 0) + (serving ? 2 : 0) + (terminating ? 1 : 0))
      .join(''),
    nodes: column(list, ({ node }) => node),
    zones: column(list, ({ zone }) => zone),
    hintZones: column(list, ({ hintZones }) => hintZones),
    hintNodes: column(list, ({ hintNodes }) => hintNodes),
    hostnames: texts(list, ({ hostname }) => hostname),
    pods: texts(list, ({ pod }) => pod),
  }
}

export function unpackEndpoints(list: EndpointList): readonly Endpoint[] {
  if (list.count === 0) return []
  const known = recent.get(list)
  if (known !== undefined) return known
  const endpoints = unpack(list)
  if (list.count >= LARGE) remember(list, endpoints)
  return endpoints
}

function unpack(list: EndpointList): readonly Endpoint[] {
  return list.addresses.split(' ').map((address, i): Endpoint => {
    const state = Number(list.states[i])
    return {
      address,
      ready: (state & 4) !== 0,
      serving: (state & 2) !== 0,
      terminating: (state & 1) !== 0,
      node: list.nodes?.[i] ?? null,
      zone: list.zones?.[i] ?? null,
      hintZones: list.hintZones?.[i] ?? null,
      hintNodes: list.hintNodes?.[i] ?? null,
    }
  })
}

/** A Service of 5,000 endpoints has 50 slices, and a change of one of them looks at all. */
function remember(list: EndpointList, endpoints: readonly Endpoint[]): void {
  recent.set(list, endpoints)
  recentCount += list.count
  for (const oldest of recent.keys()) {
    if (recentCount <= RECENT_MAX) break
    recent.delete(oldest)
    recentCount -= oldest.count
  }
}

/** By `map`, which makes an array of just the size: one that grows keeps room for more. */
function column<T>(list: readonly Endpoint[], of: (endpoint: Endpoint) => T | null): Column<T> {
  return list.some((endpoint) => of(endpoint) !== null) ? list.map(of) : null
}

function texts<T>(list: readonly T[], of: (endpoint: T) => string | null | undefined): string | null {
  return list.some((endpoint) => of(endpoint)) ? list.map((endpoint) => of(endpoint) ?? '').join(' ') : null
}

const LARGE = 50
/** Endpoints; each takes 150 bytes. */
const RECENT_MAX = 40_000
const recent = new Map<EndpointList, readonly Endpoint[]>()
let recentCount = 0
