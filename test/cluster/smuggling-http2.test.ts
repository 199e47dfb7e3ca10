/**
 * What of HTTP/2 would be something else in HTTP/1.1 (RFC 9113 8.2, 8.3 and 10.3) never reaches a backend that speaks the latter,
 * here a real nginx; what may reach it means the same there.
 */
import { connect } from 'node:net'
import t from 'tap'
import { fetchDebian, findDebian } from '../../bench/debian.ts'
import { PACKAGES } from '../../bench/proxies.ts'
import { enterWorld } from '../netns/world.ts'
import { besideNginx, shown } from './nginx.ts'

// There is no way out of the world.
if (process.env['FAIRLEAD_WORLD'] === undefined) await fetchDebian(PACKAGES)
await enterWorld()
t.setTimeout(600_000)
const skip = (await findDebian(PACKAGES)) === null && 'nginx is not there: as root, npm run bench -- http fetches it'

type Field = readonly [name: string, value: string]

interface Case {
  readonly name: string
  readonly fields: readonly Field[]
  readonly body?: string
  readonly trailers?: readonly Field[]
  /** `METHOD TARGET BODY` for the backend; null: nothing. */
  readonly hears: string | null
}

const LINE: readonly Field[] = [[':method', 'POST'], [':scheme', 'http'], [':path', '/ID'], [':authority', 'a']] // prettier-ignore
const SMUGGLED = 'GET /ID/smuggled HTTP/1.1\r\nHost: a\r\n\r\n'

/** The fields of the line, some otherwise (null: left out). */
const line = (changes: Readonly<Record<string, string | null>>): Field[] =>
  LINE.map(([name, value]): [string, string | null] => [name, name in changes ? changes[name]! : value]).filter(
    (field): field is [string, string] => field[1] !== null,
  )
const refused = (name: string, fields: readonly Field[], body = '', trailers: readonly Field[] = []): Case => ({
  ...{ name, fields, body, trailers, hears: null },
})
const withField = (name: string, value: string, body = ''): Case =>
  refused(JSON.stringify(`${name}: ${value}`), [...LINE, [name, value]], body)
const passes = (name: string, fields: readonly Field[], body: string, hears: string): Case => ({
  ...{ name, fields, body, hears },
})

const CASES: readonly Case[] = [
  passes('a body', LINE, 'hello', 'POST /ID hello'),
  passes('a body with its length', [...LINE, ['content-length', '5']], 'hello', 'POST /ID hello'),
  passes('no body', LINE, '', 'POST /ID '),
  passes('no body, and its length', [...LINE, ['content-length', '0']], '', 'POST /ID '),
  passes('a GET with a body', line({ ':method': 'GET' }), 'hello', 'GET /ID hello'),
  passes('a request for a body', LINE, SMUGGLED, `POST /ID ${SMUGGLED}`),
  passes('chunks for a body', LINE, `0\r\n\r\n${SMUGGLED}`, `POST /ID 0\r\n\r\n${SMUGGLED}`),
  passes('Host, and no authority', [...line({ ':authority': null }), ['host', 'a']], '', 'POST /ID '),
  passes('Host as the authority', [...LINE, ['host', 'a']], '', 'POST /ID '),
  passes('te: trailers', [...LINE, ['te', 'trailers']], 'hello', 'POST /ID hello'),
  passes('a name with an underscore', [...LINE, ['transfer_encoding', 'chunked']], 'hello', 'POST /ID hello'),
  passes('expect', [...LINE, ['expect', '100-continue']], 'hello', 'POST /ID hello'),
  passes('http2-settings', [...LINE, ['http2-settings', 'AAMAAABkAAQAAP__']], 'hello', 'POST /ID hello'),
  { name: 'a trailer', fields: LINE, body: 'hello', trailers: [['x-sum', '7']], hears: 'POST /ID hello' },
  ...['6', '4', '0', '-5', '+5', '5, 5', '0x5', '5 ', '', '18446744073709551621'].map((value) =>
    withField('content-length', value, 'hello'),
  ),
  refused('two lengths', [...LINE, ['content-length', '5'], ['content-length', '5']], 'hello'),
  refused('two lengths that differ', [...LINE, ['content-length', '5'], ['content-length', '0']], 'hello'),
  refused('a length without a body', [...LINE, ['content-length', '5']]),
  ...['chunked', 'identity', 'Chunked', ' chunked', 'xchunked', ''].map((value) =>
    withField('transfer-encoding', value, `0\r\n\r\n${SMUGGLED}`),
  ),
  ...['close', 'transfer-encoding', 'keep-alive', 'x-a'].map((value) => withField('connection', value)),
  withField('keep-alive', 'timeout=5'),
  withField('proxy-connection', 'close'),
  withField('upgrade', 'h2c'),
  withField('upgrade', 'websocket'),
  withField('te', 'chunked'),
  ...['\r\n', '\n', '\r', '\0'].flatMap((end) => [
    withField('x', `y${end}transfer-encoding: chunked`, `0\r\n\r\n${SMUGGLED}`),
    withField('x', `y${end}${end}${SMUGGLED}`),
    withField(`x: y${end}transfer-encoding`, 'chunked', `0\r\n\r\n${SMUGGLED}`),
    refused(`${JSON.stringify(end)} in :path`, line({ ':path': `/ID HTTP/1.1${end}Host: a${end}${end}${SMUGGLED}` })),
    refused(`${JSON.stringify(end)} in :method`, line({ ':method': `GET /ID HTTP/1.1${end}Host: a${end}${end}POST` })),
    refused(`${JSON.stringify(end)} in :authority`, line({ ':authority': `a${end}X: y` })),
    refused(`${JSON.stringify(end)} in :scheme`, line({ ':scheme': `http${end}X: y` })),
  ]),
  ...['X-A', 'x a', 'x:', 'x\t', '', 'x(', 'x\u007f', 'Transfer-Encoding', 'content-length '].map((name) =>
    withField(name, '5', 'hello'),
  ),
  ...['x\u0001', 'x\u007f'].map((value) => withField('x', value)),
  ...['/ID HTTP/1.1', '/ID x', '/ID\t', '/ID\u007f', '/ID\u00ff', 'ID', '', '*', 'http://b/ID'].map((path) =>
    refused(`:path ${JSON.stringify(path)}`, line({ ':path': path })),
  ),
  ...['GET /ID HTTP/1.1', 'GE T', 'G(T', '', 'CONNECT', 'TRACE'].map((method) =>
    refused(`:method ${JSON.stringify(method)}`, line({ ':method': method })),
  ),
  ...['a b', 'a/b', 'b@a', 'a,b', 'a:80:80', 'a?b', 'a#b', 'a\u00e9'].map((authority) =>
    refused(`:authority ${JSON.stringify(authority)}`, line({ ':authority': authority })),
  ),
  ...['http://b/ID?', 'ht tp'].map((scheme) => refused(`:scheme ${scheme}`, line({ ':scheme': scheme }))),
  refused('another Host', [...LINE, ['host', 'b']]),
  refused('two Hosts', [...LINE, ['host', 'a'], ['host', 'a']]),
  refused('no :method', line({ ':method': null })),
  refused('no :path', line({ ':path': null })),
  refused('no :scheme', line({ ':scheme': null })),
  refused('two :path', [...LINE, [':path', '/ID/smuggled']]),
  refused('two :method', [...LINE, [':method', 'GET']]),
  refused('two :authority', [...LINE, [':authority', 'b']]),
  refused(':path behind a field', [...line({ ':path': null }), ['x', 'y'], [':path', '/ID']]),
  refused('a pseudo-header that is none', [...LINE, [':version', 'HTTP/1.0']]),
  refused(':status', [...LINE, [':status', '200']]),
  refused(':protocol', [...line({ ':method': 'CONNECT' }), [':protocol', 'websocket']]),
  // h2 leaves it out.
  {
    name: 'a pseudo-header for a trailer',
    fields: LINE,
    body: 'hello',
    trailers: [[':path', '/ID/smuggled']],
    hears: 'POST /ID hello',
  },
  refused('line ends in a trailer', LINE, 'hello', [['x', `y\r\n\r\n${SMUGGLED}`]]),
  {
    name: 'a length for a trailer',
    fields: LINE,
    body: 'hello',
    trailers: [['content-length', '9']],
    hears: 'POST /ID hello',
  },
]

t.test('HTTP/2 in front of HTTP/1.1', { skip }, async (t) => {
  const behind: string[] = []
  const heard = await besideNginx(t, async () => {
    for (const [number, each] of CASES.entries()) behind.push(await converse(number, each))
  })
  t.ok(CASES.length >= 100, `${CASES.length} cases`)
  for (const [number, { name, hears }] of CASES.entries()) {
    const label = `${number} ${name}`
    const own = heard.filter(({ target }) => new RegExp(`/${number}(?!\\d)`).test(target))
    const mine = own.filter(({ target, status }) => status === 200 && !target.endsWith('/behind'))
    t.same(mine.map(shown), hears === null ? [] : [hears.replaceAll('/ID', `/${number}`)], `${label}: what nginx hears`)
    const rest = own.filter(({ target }) => target.endsWith('/behind')).map(shown)
    t.same(
      rest,
      behind[number] === 'answered' ? [`GET /${number}/behind `] : [],
      `${label}: and of the request behind it`,
    )
    if (hears !== null) t.equal(behind[number], 'answered', label)
  }
  t.same(
    heard.filter(({ target }) => !/^\/(\d+|served$)/.test(target)),
    [],
    'nothing else is taken for a request',
  )
  t.same(
    heard.filter(({ upgrade }) => upgrade !== ''),
    [],
    'an Upgrade is none',
  )
})

/** Sends the case, and a request behind it: whether that one is answered, or the connection ends before. */
function converse(number: number, { fields, body = '', trailers = [] }: Case): Promise<'answered' | 'ended'> {
  const own = (text: string): string => text.replaceAll('/ID', `/${number}`)
  const block = (list: readonly Field[]): Buffer =>
    Buffer.concat(list.map(([name, value]) => literal(name, own(value))))
  const parts = [[HEADERS, END_HEADERS, block(fields)] as const]
  const more = body === '' ? [] : [[DATA, 0, Buffer.from(own(body), 'latin1')] as const]
  const last = trailers.length === 0 ? [] : [[HEADERS, END_HEADERS, block(trailers)] as const]
  const all = [...parts, ...more, ...last]
  const sent = all.map(([kind, flags, payload], at) =>
    frame(kind, flags | (at === all.length - 1 ? END_STREAM : 0), 1, payload),
  )
  const marker: readonly Field[] = [[':method', 'GET'], [':scheme', 'http'], [':path', `/${number}/behind`], [':authority', 'a']] // prettier-ignore
  const request = frame(HEADERS, END_HEADERS | END_STREAM, 3, block(marker))
  const octets = Buffer.concat([Buffer.from(PREFACE), frame(SETTINGS, 0, 0, Buffer.alloc(0)), ...sent, request])
  return new Promise((resolve, reject) => {
    const socket = connect(80, '127.0.0.1', () => socket.write(octets))
    const over = new Set<number>()
    let read = Buffer.alloc(0)
    let answered = false
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error(`case ${number}: there is no answer, nor an end`)))
    socket.on('data', (piece: Buffer) => {
      read = Buffer.concat([read, piece])
      while (read.length >= 9 && read.length >= 9 + read.readUIntBE(0, 3)) {
        const [size, kind, flags, stream] = [read.readUIntBE(0, 3), read[3]!, read[4]!, read.readUInt32BE(5)]
        // 0x88: `:status: 200` (RFC 7541, appendix A).
        if (stream === 3 && kind === HEADERS && read[9] === 0x88) answered = true
        if (kind === RST_STREAM || ((kind === HEADERS || kind === DATA) && flags & END_STREAM)) over.add(stream)
        read = read.subarray(9 + size)
      }
      // Both, so that nothing of the case is under way any more.
      if (over.has(1) && over.has(3) && !socket.writableEnded) socket.end(frame(GOAWAY, 0, 0, Buffer.alloc(8)))
    })
    socket.on('error', (error: NodeJS.ErrnoException) => (GONE.has(error.code ?? '') ? undefined : reject(error)))
    socket.on('close', () => resolve(answered ? 'answered' : 'ended'))
  })
}

function frame(kind: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = kind
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** A literal field without indexing, and without Huffman's code: of any octets (RFC 7541 6.2.2). */
const literal = (name: string, value: string): Buffer => Buffer.concat([Buffer.from([0]), string(name), string(value)])

function string(text: string): Buffer {
  const octets = Buffer.from(text, 'latin1')
  const most = 127
  if (octets.length < most) return Buffer.concat([Buffer.from([octets.length]), octets])
  const rest = octets.length - most
  const length = rest < 128 ? [most, rest] : [most, (rest & 127) | 128, rest >> 7]
  return Buffer.concat([Buffer.from(length), octets])
}

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
const [DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY] = [0, 1, 3, 4, 7]
const [END_STREAM, END_HEADERS] = [1, 4]
const GONE = new Set(['ECONNRESET', 'EPIPE'])
const PATIENCE_MS = 60_000
