import type { Delta, Drift, Key, Refused, Target } from '../../core/delta.ts'
import { HeldRows } from '../../core/held.ts'
import { PROTOCOL, runBatch } from '../../kernel/ip.ts'
import { readSetting, writeSetting, type Unset } from '../../kernel/sysctl.ts'
import { keyOf, type BridgeRow, type Option, type Proxied, type Setting } from '../rows.ts'
import { listHeld, listProxies, type Held, type Proxy } from './listing.ts'
import { readNote, writeNote, type Note } from './note.ts'

/**
 * Sets bridges of somebody else to what the rows say, and back once no row says anything of it: what they were set to is
 * noted on them. Of the addresses that are answered for, those with our number are ours. Who looks after it asks `differs`
 * and `hasLostProxies` often: the kernel tells nobody of either.
 */
export class BridgeTarget implements Target<BridgeRow> {
  readonly name = 'bridge pods'
  readonly #rows = new HeldRows<BridgeRow>()
  /** What the kernel would not take is no drift: it would be tried again for ever. */
  #refused = new Set<Key>()
  /** By index of the bridge: its alias may be somebody else's. */
  readonly #notes = new Map<number, Note>()

  async apply(delta: Delta<BridgeRow>, signal: AbortSignal): Promise<readonly Refused[]> {
    this.#rows.take(delta)
    const refused = (await this.#carry(signal)).filter(({ key }) => this.#rows.has(key))
    this.#refused = new Set(refused.map(({ key }) => key))
    // What a delta does not put is not its to refuse; it is no drift either way.
    return refused.filter(({ key }) => delta.from === 0 || delta.put.has(key))
  }

  async audit(signal: AbortSignal): Promise<Drift> {
    const detail = this.differs() ?? (await this.#differs(signal))
    return detail === null ? { clean: true } : { clean: false, detail }
  }

  async cleanup(): Promise<void> {
    this.#rows.clear()
    const [first] = await this.#carry()
    if (first !== undefined) throw new Error(`cannot put back ${first.key}: ${first.reason}`)
  }

  /** null: all settings are as they should be. Cheap. */
  differs(): string | null {
    for (const [key, row] of this.#rows) {
      if (row.kind !== 'setting') continue
      const value = readSetting(pathOf(row))
      const isRight = value === null || value === row.value
      if (isRight === this.#refused.has(key)) return `${pathOf(row)} is ${isRight ? '' : 'not '}${row.value}`
    }
    return null
  }

  /** Starts a process where there are such rows. */
  async hasLostProxies(signal: AbortSignal): Promise<boolean> {
    return this.#proxied().length > 0 && (await this.#lostProxies(signal)).length > 0
  }

  async #differs(signal: AbortSignal): Promise<string | null> {
    for (const held of await listHeld(signal)) {
      for (const { kind, name, value } of this.#of(held.name))
        if (kind === 'option' && !this.#refused.has(`${held.name} ${name}`) && held.options.get(name) !== value)
          return `${name} of ${held.name} is not ${value}`
      const note = readNote(held.alias)
      if (note !== null && writeNote(note) !== writeNote(this.#notes.get(held.index) ?? NONE))
        return `${held.name} has another note of what it was set to before`
    }
    const [first] = await this.#lostProxies(signal)
    return first === undefined ? null : `nobody answers for ${first.ip} on ${first.bridge}`
  }

  async #lostProxies(signal: AbortSignal): Promise<readonly Proxied[]> {
    const there = new Set((await listProxies(signal)).map(placeOf))
    return this.#proxied().filter((row) => !this.#refused.has(keyOf(row)) && !there.has(keyOf(row)))
  }

  #proxied(): readonly Proxied[] {
    return [...this.#rows.values()].filter((row) => row.kind === 'proxied')
  }

  #of(bridge: string): readonly (Setting | Option)[] {
    return [...this.#rows.values()].filter((row) => row.bridge === bridge).filter((row) => row.kind !== 'proxied')
  }

  /** A row of a bridge that is not there (any more) is nobody's: whoever looks for bridges is about to say so. */
  async #carry(signal?: AbortSignal): Promise<readonly Refused[]> {
    const [bridges, proxies] = await Promise.all([listHeld(signal), listProxies(signal)])
    const refused: Refused[] = []
    for (const held of bridges) refused.push(...(await this.#set(held, signal)))
    for (const index of this.#notes.keys()) if (!bridges.some((held) => held.index === index)) this.#notes.delete(index)
    const names = new Set(bridges.map(({ name }) => name))
    const rows = this.#proxied().filter(({ bridge }) => names.has(bridge))
    return [...refused, ...(await proxy(rows, proxies, signal))]
  }

  async #set(held: Held, signal?: AbortSignal): Promise<readonly Refused[]> {
    const rows = this.#of(held.name)
    const written = readNote(held.alias)
    const note = new Map(this.#notes.get(held.index) ?? written ?? NONE)
    for (const row of rows) {
      const value = valueOf(held, row.name)
      const isLasting = row.kind === 'setting' && row.stays
      if (value !== null && !isLasting && !note.has(row.name)) note.set(row.name, value)
    }
    if (note.size === 0 && rows.length === 0) return []
    // First the note: whatever ends us, it is known what is to be put back.
    if (written !== null) await setAlias(held, writeNote(note), signal)
    const refused = await setAll(held, rows, signal)
    const wanted = new Set(rows.map(({ name }) => name))
    const before = [...note].filter(([name]) => !wanted.has(name)).map(([name, value]) => ({ name, value }))
    const stuck = await setAll(held, before, signal)
    for (const { name } of before) if (!stuck.some(({ key }) => key === `${held.name} ${name}`)) note.delete(name)
    if (written !== null && before.length > 0) await setAlias(held, writeNote(note), signal)
    if (note.size > 0) this.#notes.set(held.index, note)
    else this.#notes.delete(held.index)
    return [...refused, ...stuck]
  }
}

type Named = Pick<Setting | Option, 'name' | 'value'>

async function setAll(held: Held, all: readonly Named[], signal?: AbortSignal): Promise<readonly Refused[]> {
  const refused: Refused[] = []
  for (const { name, value } of all) {
    const why = valueOf(held, name) === value ? null : await set(held, name, value, signal)
    if (why !== null) refused.push({ key: `${held.name} ${name}`, ...why })
  }
  return refused
}

async function set({ name: bridge }: Held, name: string, value: string, signal?: AbortSignal): Promise<Unset | null> {
  if (isSetting(name)) return writeSetting(pathOf({ bridge, name }), value)
  const failures = await runBatch('ip', [`link set dev ${bridge} type bridge ${name} ${value}`], signal)
  const reason = failures.get(0)
  if (reason === undefined || isGone(reason)) return null
  return { reason, remedy: `load what it belongs to: modprobe br_netfilter` }
}

async function setAlias({ name, alias }: Held, text: string, signal?: AbortSignal): Promise<void> {
  if (alias === text) return
  const failures = await runBatch('ip', [`link set dev ${name} alias "${text}"`], signal)
  for (const reason of failures.values()) if (!isGone(reason)) throw new Error(`${name} takes no alias: ${reason}`)
}

async function proxy(rows: readonly Proxied[], there: readonly Proxy[], signal?: AbortSignal): Promise<Refused[]> {
  const held = new Set(there.map(placeOf))
  const wanted = new Set(rows.map(keyOf))
  const put = rows.filter((row) => !held.has(keyOf(row)))
  const drop = there.filter((each) => each.isOurs && !wanted.has(placeOf(each)))
  const commands = [
    ...put.map(({ bridge, ip }) => `neighbour add proxy ${ip} dev ${bridge} protocol ${PROTOCOL}`),
    ...drop.map(({ device, ip }) => `neighbour delete proxy ${ip} dev ${device}`),
  ]
  const failures = [...(await runBatch('ip', commands, signal))].filter(([, reason]) => !isGone(reason))
  return failures.flatMap(([at, reason]) => {
    const row = put[at]
    return row === undefined ? [] : [{ key: keyOf(row), reason, remedy: PROXY }]
  })
}

/** null: there is no such thing. */
const valueOf = (held: Held, name: string): string | null =>
  isSetting(name) ? readSetting(pathOf({ bridge: held.name, name })) : (held.options.get(name) ?? null)

const isSetting = (name: string): boolean => name.startsWith('net.')
const pathOf = ({ bridge, name }: Pick<Setting, 'bridge' | 'name'>): string =>
  name.replaceAll('.', '/').replace('*', bridge)
/** As keyOf has it. */
const placeOf = ({ device, ip }: Proxy): Key => `${device} ${ip}`
/** It went away meanwhile. */
const isGone = (reason: string): boolean => /Cannot find device|No such (device|file)/.test(reason)

const NONE: Note = new Map()
const PROXY = 'pods of the bridge do not reach this address until the kernel takes it: ip -6 neighbour add proxy ...'
