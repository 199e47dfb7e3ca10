/** What a carrier says, read strictly: a line is one of its messages, or says why it is none. */
import { PROTOCOL } from './wire.ts'
import type { Answer, FromCarrier, Hello, ProtocolError, RefusedRow, Revision, SeenRow, ToReader } from './wire.ts'

/** A message, or why a line is none. */
export type Heard<Message> = Message | { readonly problem: string }

/** Passes a message on. Returns why the connection must end, or null. */
export function heard<Message extends object>(
  message: Heard<Message | { readonly error: ProtocolError }>,
  hear: (message: Message) => void,
): string | null {
  if ('problem' in message) return `a line of the carrier ${message.problem}`
  if ('error' in message) return `the carrier refuses this connection: ${message.error.reason}`
  hear(message)
  return null
}

/** To a controller. */
export const readMessage = (line: string): Heard<FromCarrier> => readBy(READERS, line)

/** To a reader of answers. */
export const readReaderMessage = (line: string): Heard<ToReader> => readBy(TO_READER, line)

type Readers<Message> = Readonly<Record<string, (body: Fields) => Message | null>>

function readBy<Message>(readers: Readers<Message>, line: string): Heard<Message> {
  let raw: unknown
  try {
    raw = JSON.parse(line)
  } catch (error) {
    return { problem: `is no JSON: ${(error as Error).message}` }
  }
  if (!isObject(raw)) return { problem: 'is no object' }
  const [[name, body] = ['', null], ...others] = Object.entries(raw)
  const read = Object.hasOwn(readers, name) ? readers[name] : undefined
  if (others.length > 0 || !isObject(body) || read === undefined)
    return { problem: `is no message that is known: ${Object.keys(raw).join(', ').slice(0, 100)}` }
  return read(body) ?? { problem: `says ${name} without what belongs to it` }
}

const READERS: Readers<FromCarrier> = {
  hello(body) {
    const { version, protocol = 0, tables } = body
    if (typeof version !== 'string' || !Number.isSafeInteger(protocol)) return null
    // What else it says is said in its protocol.
    if (protocol !== PROTOCOL) return { hello: { version, protocol: protocol as number, tables: {} } }
    if (!isObject(tables)) return null
    const held: Hello['tables'] = {}
    for (const [table, raw] of Object.entries(tables)) {
      const revision = readRevision(raw)
      if (revision === null) return null
      held[table] = revision
    }
    return { hello: { version, protocol, tables: held } }
  },
  acknowledged(body) {
    const { table } = body
    const revision = readRevision(body)
    return typeof table === 'string' && revision !== null ? { acknowledged: { table, ...revision } } : null
  },
  refused(body) {
    const { table, rows, more } = body
    const revision = readRevision(body)
    if (typeof table !== 'string' || revision === null || !Array.isArray(rows) || !rows.every(isRefused)) return null
    return { refused: { table, ...revision, rows, more: more === true } }
  },
  failed(body) {
    const { table, reason } = body
    return typeof table === 'string' && typeof reason === 'string' ? { failed: { table, reason } } : null
  },
  answer(body) {
    const { id, value, error } = body
    if (typeof id !== 'number' || (error !== undefined && typeof error !== 'string')) return null
    const answer: Answer = error === undefined ? { id, value } : { id, error }
    return { answer }
  },
  error({ reason }) {
    return typeof reason === 'string' ? { error: { reason } } : null
  },
}

const TO_READER: Readers<ToReader> = {
  welcome: ({ version }) => (typeof version === 'string' ? { welcome: { version } } : null),
  seen(body) {
    const { from, to, rows, more } = body
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to)) return null
    if (!Array.isArray(rows) || !rows.every(isSeen)) return null
    return { seen: { from: from as number, to: to as number, rows, more: more === true } }
  },
  error: ({ reason }) => (typeof reason === 'string' ? { error: { reason } } : null),
}

function isSeen(raw: unknown): raw is SeenRow {
  if (!isObject(raw)) return false
  const { names, addresses } = raw
  if (!Array.isArray(names) || !names.every((name) => typeof name === 'string')) return false
  const isAddress = (each: unknown): boolean =>
    isObject(each) && typeof each['ip'] === 'string' && typeof each['ttl'] === 'number'
  return Array.isArray(addresses) && addresses.every(isAddress)
}

/** `epoch` and `number` of anything that has them. */
export function readRevision(raw: unknown): Revision | null {
  if (!isObject(raw)) return null
  const { epoch, number } = raw
  return typeof epoch === 'string' && Number.isSafeInteger(number) ? { epoch, number: number as number } : null
}

export function isObject(raw: unknown): raw is Fields {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw)
}

function isRefused(raw: unknown): raw is RefusedRow {
  return isObject(raw) && [raw['key'], raw['reason'], raw['remedy']].every((field) => typeof field === 'string')
}

type Fields = Record<string, unknown>
