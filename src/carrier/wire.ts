// Written by `npm run wire` from native/wire. Change it there.

export type Acknowledged = { table: string; epoch: string; number: number }

/** Either `value` or `error` is there. */
export type Answer = { id: number; value?: unknown; error?: string }

/** A question, answered by `answer` with the same id, in no particular order. */
export type Ask = { id: number; what: Question }

/** `from` 0 replaces the table; else it is the number that the carrier holds, of the same epoch. */
export type Begin = { table: string; epoch: string; from: number; to: number }

export type Commit = Record<symbol, never>

export type Explain = {
  name: string
  /** `A`, `SRV`, `TYPE65`. */
  type: string
  /** The address of who asks; absent: nobody in particular. */
  from?: string
}

export type Failed = { table: string; reason: string }

/**
 * What the controller counts, to be served with the carrier's own /metrics: Prometheus text. Holds until the next one, or the
 * end of the connection.
 */
export type Figures = { text: string }

/** From the carrier. */
export type FromCarrier =
  | { hello: Hello }
  | { acknowledged: Acknowledged }
  | { refused: RefusedRows }
  | { failed: Failed }
  | { answer: Answer }
  | { error: ProtocolError }

export type FromReader = { watch: Watch } | { taken: Taken }

export type Hello = {
  /** Of the product: for people. */
  version: string
  /** PROTOCOL. Absent is 0. */
  protocol: number
  /** What the carrier holds. A table that is missing holds nothing. */
  tables: { [key in string]: Revision }
}

/** `ttl` in seconds; absent: that of the step which answers. */
export type NameRecord =
  | { type: 'A'; ip: string; ttl?: number }
  | { type: 'AAAA'; ip: string; ttl?: number }
  | { type: 'SRV'; priority: number; weight: number; port: number; target: string; ttl?: number }
  | { type: 'PTR'; target: string; ttl?: number }
  | { type: 'CNAME'; target: string; ttl?: number }
  | { type: 'NS'; target: string; ttl?: number }
  | { type: 'TXT'; texts: Array<string>; ttl?: number }
  | { type: 'MX'; preference: number; target: string; ttl?: number }
  | {
      type: 'SOA'
      mname: string
      rname: string
      serial: number
      refresh: number
      retry: number
      expire: number
      minimum: number
      ttl?: number
    }
  | { type: 'OTHER'; code: number; data: string; ttl?: number }

/** Names are absolute, lower case, in presentation form with the final dot (`\DDD` for octets that have no other form). */
export type NameRow = {
  /** Which set of zones: `k0`. */
  set: string
  name: string
  /** May be empty: the name exists, and has nothing (NODATA). */
  records: Array<NameRecord>
  /** A child label that is a dashed address (`10-240-0-1`, `5678-abcd--1`) answers that address. */
  dashed?: boolean
  /** Where it comes from, for people: `Service ns1/svc1`. */
  object?: string
}

/** Of hello. */
export const PROTOCOL = 2

export type ProtocolError = { reason: string }

export type Question = 'metrics' | 'stats' | { explain: Explain } | { tally: Tally } | { tallied: Tallied }

export type RefusedRow = { key: string; reason: string; remedy: string }

export type RefusedRows = {
  table: string
  epoch: string
  number: number
  rows: Array<RefusedRow>
  /** Another line of the same delta follows: they did not fit into one. */
  more?: boolean
}

export type Revision = { epoch: string; number: number }

/** Rows to be added to those that the reader has; they end by their TTL only. */
export type Seen = {
  /** 0: all that is known. Else what was told before. */
  from: number
  to: number
  /** Names that another reader wants may be among them. */
  rows: Array<SeenRow>
  /** Another line of the same numbers follows: they did not fit into one. */
  more?: boolean
}

export type SeenAddress = {
  ip: string
  /** Seconds that are left of it. */
  ttl: number
}

/**
 * An answer with addresses. Who asked is not said: what a name may reach follows from the name, as Cilium's toFQDNs and
 * Calico's domains have it, whoever of those that a policy selects has asked first.
 */
export type SeenRow = {
  /** The name that was asked for, then what it is an alias of: absolute, lower case. At most 17. */
  names: Array<string>
  addresses: Array<SeenAddress>
}

/** From the carrier: at once, then whenever it changes. What is not in it any more is served until the agent has answered. */
export type Serving = {
  /** Counts from 1. */
  number: number
  /** Where queries are answered, over UDP and TCP: `169.254.20.10:53`, `[::]:53`. Empty: nowhere. */
  serving: Array<string>
}

/** From the agent: packets go where number `switched` wants them. */
export type Switched = { switched: number }

/** What was told up to this number is in force with the reader. */
export type Taken = { number: number }

export type Tallied = { id: number }

export type Tally = { seconds: number }

/** From the controller. Rows stay text until their table reads them. */
export type ToCarrier =
  | { begin: Begin }
  | { put: ReadonlyArray<readonly [string, unknown]> }
  | { drop: ReadonlyArray<string> }
  | { commit: Commit }
  | { ask: Ask }
  | { figures: Figures }

export type ToReader = { welcome: Welcome } | { seen: Seen } | { error: ProtocolError }

/** Instead of what was wanted before. All that is known comes again, from 0. */
export type Watch = {
  /** Absolute, lower case: `example.com.`, or `*.example.com.` for all names below it, however deep. At most 10,000. */
  patterns: Array<string>
}

export type Welcome = { version: string }
