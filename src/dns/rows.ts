/** What the DNS room decides: one row a name that exists, as native/wire/src/names.rs has it. */
export interface NameRow {
  /** Which set of zones answers it: `k0`. */
  readonly set: string
  /** Absolute, lower case, with the final dot. */
  readonly name: string
  /** Each once, in an order that depends on them only. Empty: the name exists, and has nothing (NODATA). */
  readonly records: readonly NameRecord[]
  /** A child label that is a dashed address (`10-240-0-1`, `5678-abcd--1`) answers that address. */
  readonly dashed?: true
  /** Where it comes from, for people: `Service shop/web`. */
  readonly object?: string
}

/** Addresses are canonical, names as those of rows. */
export type NameRecord = Address | Srv | Pointer | Text

interface Lasting {
  /** Seconds; absent: that of the step which answers. */
  readonly ttl?: number
}

export interface Address extends Lasting {
  readonly type: 'A' | 'AAAA'
  readonly ip: string
}

/** RFC 2782. */
export interface Srv extends Lasting {
  readonly type: 'SRV'
  readonly priority: number
  readonly weight: number
  readonly port: number
  readonly target: string
}

export interface Pointer extends Lasting {
  readonly type: 'PTR' | 'CNAME' | 'NS'
  readonly target: string
}

export interface Text extends Lasting {
  readonly type: 'TXT'
  /** At most 255 octets each. */
  readonly texts: readonly string[]
}

export const nameKey = (set: string, name: string): string => `${set} ${name}`
