/** What a carrier says, read strictly: a line is one of its messages, or says why it is none. */
import type { Answer, FromCarrier, Hello, RefusedRow, Revision } from './wire.ts'

export type Heard = FromCarrier | { readonly problem: string }

export function readMessage(line: string): Heard {
  let raw: unknown
  try {
    raw = JSON.parse(line)
  } catch (error) {
    return { problem: `is no JSON: ${(error as Error).message}` }
  }
  if (!isObject(raw)) return { problem: 'is no object' }
  const [[name, body] = ['', null], ...others] = Object.entries(raw)
  const read = Object.hasOwn(READERS, name) ? READERS[name] : undefined
  if (others.length > 0 || !isObject(body) || read === undefined)
    return { problem: `is no message that is known: ${Object.keys(raw).join(', ').slice(0, 100)}` }
  return read(body) ?? { problem: `says ${name} without what belongs to it` }
}

const READERS: Readonly<Record<string, (body: Fields) => FromCarrier | null>> = {
  hello(body) {
    const { version, tables } = body
    if (typeof version !== 'string' || !isObject(tables)) return null
    const held: Hello['tables'] = {}
    for (const [table, raw] of Object.entries(tables)) {
      const revision = readRevision(raw)
      if (revision === null) return null
      held[table] = revision
    }
    return { hello: { version, tables: held } }
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
