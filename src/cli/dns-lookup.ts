/** A name looked up for people, by the controller: the carrier's real answer, and what gave it. */
import { connect } from 'node:net'
import type { Connection } from '../carrier/connection.ts'
import { isObject } from '../carrier/message.ts'
import { codeName, questionOf, readAnswer, typeNumber, type Message, type MessageRecord } from '../dns/message.ts'
import { json, type Answer } from '../status/server.ts'
import type { DnsService } from './dns-service.ts'

/** What `/dns/query` answers: the whole of one line of `fairlead dns query`. */
export interface Lookup {
  readonly name: string
  readonly type: string
  /** `NOERROR`; `DROPPED`: the Corefile has it left without an answer. */
  readonly code: string
  readonly flags: readonly string[]
  readonly answer: readonly MessageRecord[]
  readonly authority: readonly MessageRecord[]
  readonly additional: readonly MessageRecord[]
  /** Which server block: `dns://0.0.0.0:53 cluster.local.`; null: none is for this name. */
  readonly block: string | null
  /** What gave it, from the plugin that changed the question to the one that answered, for each name that it is an alias of. */
  readonly by: readonly Step[]
  /** Why there is nothing, and what was probably meant; null: there is something, or nobody can tell. */
  readonly why: string | null
  /** From asking to the answer, on the server. */
  readonly seconds: number
}

export interface Step {
  /** What it was asked for: layers ask the others for something else. */
  readonly name: string
  readonly type: string
  /** `kubernetes`, `rewrite`, `cache`, `forward`; null: none. */
  readonly plugin: string | null
  /** `Service shop/web`. */
  readonly object: string | null
  /** Who is asked, or was before it was kept: `10.0.0.2:53`, `10.0.0.3:53 (down)`. */
  readonly upstreams: readonly string[]
}

/** A route for `/dns/query?name=NAME&type=TYPE&from=ADDRESS`. An error is `{ message }`. */
export async function lookUp(
  query: URLSearchParams,
  carrier: Connection,
  service: DnsService | null,
  limitMs = LIMIT_MS,
): Promise<Answer> {
  const name = absolute(query.get('name') ?? '')
  const type = (query.get('type') ?? 'A').toUpperCase()
  const number = typeNumber(type)
  if (number === null) return json(400, { message: `${type} is no type of records such as A, SRV or TYPE65` })
  const question = questionOf(Math.floor(Math.random() * 65_536), name, number)
  if (question === null)
    return json(400, { message: `"${name.slice(0, 300)}" is no name: labels have 1 to 63 octets, a name 255` })
  const signal = AbortSignal.timeout(limitMs)
  try {
    return json(200, await complete({ carrier, name, type, from: query.get('from'), question, service }, signal))
  } catch (error) {
    return json(503, { message: `the carrier does not answer: ${(error as Error).message}` })
  }
}

/** What the carrier says of a name; src/explain.rs of native/dns. */
interface Explained {
  readonly place: { readonly address: string; readonly transport: string } | null
  readonly zone: string | null
  readonly by: readonly Voice[]
  readonly code: number | null
  readonly dropped: boolean
}

interface Voice {
  readonly name: string
  readonly type: string
  readonly plugin: string | null
  readonly object: string | null
  readonly upstreams: readonly { readonly address: string; readonly down: boolean }[]
  readonly kept: boolean
}

interface Asked {
  readonly carrier: Connection
  readonly name: string
  readonly type: string
  readonly from: string | null
  readonly question: Buffer
  readonly service: DnsService | null
}

async function explain({ carrier, name, type, from }: Asked, signal: AbortSignal): Promise<Explained> {
  const said = await carrier.ask({ explain: { name, type, ...(from !== null && { from }) } }, signal)
  if (!isObject(said)) throw new Error('it says nothing that is known')
  return said as unknown as Explained
}

async function complete(asked: Asked, signal: AbortSignal): Promise<Lookup> {
  const { name, type, question } = asked
  const before = await explain(asked, signal)
  const began = performance.now()
  const denied = before.by.some(({ plugin }) => plugin === 'acl')
  // What the client may not have, nobody is asked for.
  const verdict = before.dropped ? 'DROPPED' : denied ? codeName(before.code ?? 0) : null
  const isAsked = verdict === null && before.place !== null
  const said = isAsked
    ? await ask(before.place.address, question, signal)
    : { ...NOTHING, code: verdict ?? codeName(before.code ?? 5) }
  const seconds = (performance.now() - began) / 1000
  const { code, flags, answer, authority, additional } = said
  // What others say is known now, where it is kept, and what follows from it. That they were asked is so from before.
  const after = before.code === null && isAsked ? await explain(asked, signal) : before
  const first = new Set(before.by.filter(({ kept }) => !kept).map(({ name }) => name))
  const voices = after.by.map((voice) => (voice.kept && first.has(voice.name) ? { ...voice, kept: false } : voice))
  const block = before.place === null ? null : `${before.place.transport}://${before.place.address} ${before.zone}`
  const why = answer.length > 0 ? null : whyNothing({ ...after, by: voices }, code, asked)
  return { name, type, code, flags, answer, authority, additional, block, by: voices.map(step), why, seconds }
}

function step({ name, type, plugin, object, upstreams, kept }: Voice): Step {
  const shown = upstreams.map(({ address, down }) => (down ? `${address} (down)` : address))
  return { name, type, plugin: kept ? 'cache' : plugin, object, upstreams: shown }
}

function whyNothing({ by, place, dropped }: Explained, code: string, { name, type, service }: Asked): string | null {
  if (dropped || by.some(({ plugin }) => plugin === 'acl'))
    return `acl of the Corefile does not let this client have it`
  if (place === null) return `no server block of the Corefile is for ${name}`
  const last = by.at(-1)
  if (last === undefined) return null
  const { plugin, object, upstreams } = last
  if (code === 'SERVFAIL' && service !== null && !service.names.synced)
    return 'the API server has not said yet which names there are'
  if (code === 'SERVFAIL' && upstreams.length > 0)
    return upstreams.every(({ down }) => down)
      ? 'all servers that are asked are down'
      : 'the servers that are asked did not answer, or failed'
  if (code === 'SERVFAIL' && plugin === null) return 'no plugin of the server block answers such names'
  if (code === 'NXDOMAIN' && plugin === 'kubernetes' && service !== null)
    return service.whyMissing(last.name.toLowerCase())
  if (code === 'NOERROR') return `${object ?? name} has no record of type ${type}`
  return null
}

/** Over TCP: no answer is too long there. */
async function ask(address: string, question: Buffer, signal: AbortSignal): Promise<Message> {
  const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(address)!
  const socket = connect({ host: ANY[host!] ?? host!, port: Number(port) })
  const stop = (): void => void socket.destroy(new Error(`nothing came from ${address} in time`))
  signal.addEventListener('abort', stop)
  try {
    socket.write(Buffer.concat([Buffer.from([question.length >> 8, question.length & 255]), question]))
    let held = Buffer.alloc(0)
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      held = Buffer.concat([held, chunk])
      if (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) return readAnswer(held.subarray(2))
    }
    throw new Error(`${address} ended the connection`)
  } finally {
    signal.removeEventListener('abort', stop)
    socket.destroy()
  }
}

const absolute = (name: string): string => (name.endsWith('.') ? name : `${name}.`)

/** A socket for every address is asked at this machine's own. */
const ANY: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
const NOTHING = { flags: [], answer: [], authority: [], additional: [] }
/** The carrier gives upstreams 4 s. */
const LIMIT_MS = 8_000
