/**
 * Requests that two servers could read in two ways, and their lawful neighbours (RFC 9112 3 to 7 and 11.2, RFC 9110 5.5). `ID`
 * in a text is the number of the case.
 */

export interface Expected {
  /** What the backend takes for a request: `METHOD TARGET` and the body, in this order. */
  readonly hears?: readonly string[]
  /**
   * The last answer, and the end of the connection: nothing that comes behind is read. `cut`: 400, or none as the body is
   * under way; the backend has never the whole of it. Without it, the request behind the case is answered, too.
   */
  readonly ends?: number | 'cut'
  /** An answer of the proxy's own, after which the connection goes on. */
  readonly says?: number
  /** The client itself asks for the end: nothing behind it is read. */
  readonly closes?: true
}

export interface Case {
  readonly name: string
  readonly text: string
  readonly expected: Expected
}

/** A POST with these fields, each with its line end, and what comes behind its head. */
const post = (fields: string, behind = ''): string => `POST /ID HTTP/1.1\r\nHost: a\r\n${fields}\r\n${behind}`
const get = (fields: string): string => `GET /ID HTTP/1.1\r\nHost: a\r\n${fields}\r\n`
const chunked = (body: string): string => post('Transfer-Encoding: chunked\r\n', body)
const SMUGGLED = 'GET /ID/smuggled HTTP/1.1\r\nHost: a\r\n\r\n'
const INNER = 'GET /inner HTTP/1.1\r\nHost: a\r\n\r\n'
const HELLO = '5\r\nhello\r\n0\r\n\r\n'

const refused = (status: number, texts: Readonly<Record<string, string>>): Case[] =>
  Object.entries(texts).map(([name, text]) => ({ name, text, expected: { ends: status } }))
const cut = (texts: Readonly<Record<string, string>>): Case[] =>
  Object.entries(texts).map(([name, body]) => ({ name, text: chunked(body), expected: { ends: 'cut' } }))
const heard = (texts: Readonly<Record<string, readonly [text: string, ...hears: string[]]>>): Case[] =>
  Object.entries(texts).map(([name, [text, ...hears]]) => ({ name, text, expected: { hears } }))

const CODINGS: readonly Case[] = [
  ...refused(400, {
    'length, then chunked': post('Content-Length: 6\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\nX'),
    'chunked, then length': post('Transfer-Encoding: chunked\r\nContent-Length: 6\r\n', '0\r\n\r\nX'),
    'length 0 and chunked': post('Content-Length: 0\r\nTransfer-Encoding: chunked\r\n', HELLO),
    'length and Chunked': post('Content-Length: 5\r\nTransfer-Encoding: cHuNkEd\r\n', HELLO),
    'length and chunked after a tab': post('Content-Length: 5\r\nTransfer-Encoding:\tchunked\r\n', HELLO),
    'length and chunked before a tab': post('Content-Length: 5\r\nTransfer-Encoding: chunked\t\r\n', HELLO),
    'vertical tab before chunked': post('Content-Length: 5\r\nTransfer-Encoding: \u000bchunked\r\n', HELLO),
    'form feed before chunked': post('Transfer-Encoding: \u000cchunked\r\n', HELLO),
    'NUL behind chunked': post('Transfer-Encoding: chunked\0\r\n', HELLO),
    'space before the colon': post('Transfer-Encoding : chunked\r\n', HELLO),
    'tab before the colon': post('Transfer-Encoding\t: chunked\r\n', HELLO),
    'space before the name': post(' Transfer-Encoding: chunked\r\n', HELLO),
    'tab before the name': post('X: y\r\n\tTransfer-Encoding: chunked\r\n', HELLO),
    'space for the hyphen': post('Transfer Encoding: chunked\r\n', HELLO),
    'NUL in the name': post('Transfer-Encoding\0: chunked\r\n', HELLO),
    'no colon': post('Transfer-Encoding chunked\r\n', HELLO),
    'coding after a bare LF': post('X: y\nTransfer-Encoding: chunked\r\n', HELLO),
    'coding after a bare CR': post('X: y\rTransfer-Encoding: chunked\r\n', HELLO),
    'coding after CR CR LF': post('X: y\r\r\nTransfer-Encoding: chunked\r\n', HELLO),
    'coding before a bare LF': post('Transfer-Encoding: chunked\n', HELLO),
    'chunked twice': post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', HELLO),
    'chunked, then identity': post('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n', HELLO),
    'chunked in HTTP/1.0': `POST /ID HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${HELLO}`,
    'chunked and length in HTTP/1.0': `POST /ID HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n${HELLO}`,
  }),
  ...refused(501, {
    'length and identity': post('Content-Length: 5\r\nTransfer-Encoding: identity\r\n', 'hello'),
    'length and xchunked': post('Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n', 'hello'),
    'coding folded': post('Transfer-Encoding:\r\n chunked\r\n', HELLO),
    identity: post('Transfer-Encoding: identity\r\n'),
    xchunked: post('Transfer-Encoding: xchunked\r\n', HELLO),
    chunkedx: post('Transfer-Encoding: chunkedx\r\n', HELLO),
    'chunked, chunked': post('Transfer-Encoding: chunked, chunked\r\n', HELLO),
    'chunked, identity': post('Transfer-Encoding: chunked, identity\r\n', HELLO),
    'identity, chunked': post('Transfer-Encoding: identity, chunked\r\n', HELLO),
    'gzip, chunked': post('Transfer-Encoding: gzip, chunked\r\n', HELLO),
    'identity, then chunked': post('Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n', HELLO),
    'comma behind': post('Transfer-Encoding: chunked,\r\n', HELLO),
    'comma before': post('Transfer-Encoding: ,chunked\r\n', HELLO),
    'with a parameter': post('Transfer-Encoding: chunked;q=1\r\n', HELLO),
    'in quotes': post('Transfer-Encoding: "chunked"\r\n', HELLO),
    'no coding': post('Content-Length: 5\r\nTransfer-Encoding:\r\n', 'hello'),
    'octets of UTF-8': post('Transfer-Encoding: chunk\u00e9d\r\n', HELLO),
  }),
  ...heard({
    chunked: [chunked(HELLO), 'POST /ID hello'],
    'Chunked with white space': [post('transfer-ENCODING: \t Chunked \t\r\n', HELLO), 'POST /ID hello'],
    'chunked GET': [`GET /ID HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${HELLO}`, 'GET /ID hello'],
    'coding with an underscore': [
      post('Content-Length: 5\r\nTransfer_Encoding: chunked\r\n', 'hello'),
      'POST /ID hello',
    ],
    'coding of another name': [
      post('Content-Length: 5\r\nX-Transfer-Encoding: chunked\r\n', 'hello'),
      'POST /ID hello',
    ],
    'TE is no coding': [get('TE: chunked, trailers\r\n'), 'GET /ID '],
    'coding named in Connection': [
      post('Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n', HELLO),
      'POST /ID hello',
    ],
  }),
]

const length = (value: string): string => post(`Content-Length: ${value}\r\n`, 'hello')
const LENGTHS: readonly Case[] = [
  ...refused(400, {
    'twice the same': post('Content-Length: 5\r\nContent-Length: 5\r\n', 'hello'),
    'short, then long': post(`Content-Length: 0\r\nContent-Length: 37\r\n`, SMUGGLED),
    'long, then short': post(`Content-Length: 37\r\nContent-Length: 0\r\n`, SMUGGLED),
    'a list': length('5, 5'),
    'a list of two': length('0,5'),
    'comma behind it': length('5,'),
    'a plus': length('+5'),
    'a minus': length('-5'),
    'minus nothing': length('-0'),
    hexadecimal: length('0x5'),
    'hexadecimal digit': length('a'),
    'space in it': length('5 0'),
    'a fraction': length('5.0'),
    'an exponent': length('1e1'),
    'in quotes': length('"5"'),
    nothing: post('Content-Length:\r\n'),
    'white space': post('Content-Length: \t \r\n'),
    'more than 64 bits': length('18446744073709551621'),
    'more than 63 bits': length('9223372036854775813'),
    'more than 18 digits': length('0000000000000000005'),
    'vertical tab': length('\u000b5'),
    'NUL behind it': length('5\0'),
    'space before its colon': post('Content-Length : 5\r\n', 'hello'),
    'space before its name': post('X: y\r\n Content-Length: 5\r\n', 'hello'),
    'folded length': post('Content-Length:\r\n 5\r\n', 'hello'),
    'bare LF behind it': post('Content-Length: 5\n', 'hello'),
    'after a bare CR': post('X: y\rContent-Length: 5\r\n', 'hello'),
  }),
  ...heard({
    'with leading zeros': [length('005'), 'POST /ID hello'],
    'without white space': [post('content-length:5\r\n', 'hello'), 'POST /ID hello'],
    'with white space': [post('Content-Length: \t5\t \r\n', 'hello'), 'POST /ID hello'],
    'with an underscore': [post('Content_Length: 5\r\n'), 'POST /ID '],
    'and another with an underscore': [post('Content-Length: 5\r\nContent_Length: 0\r\n', 'hello'), 'POST /ID hello'],
    'named in Connection': [post('Connection: Content-Length, x\r\nContent-Length: 5\r\n', 'hello'), 'POST /ID hello'],
    'of a GET': [`GET /ID HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello`, 'GET /ID hello'],
    'of a request': [post(`Content-Length: ${INNER.length}\r\n`, INNER), `POST /ID ${INNER}`],
    'of a request in a chunk': [chunked(`${INNER.length.toString(16)}\r\n${INNER}\r\n0\r\n\r\n`), `POST /ID ${INNER}`],
    none: [post(''), 'POST /ID '],
  }),
]

const CHUNKS: readonly Case[] = [
  ...cut({
    'LF behind the size': '5\nhello\r\n0\r\n\r\n',
    'CR behind the size': '5\rhello\r\n0\r\n\r\n',
    'LF behind the data': '5\r\nhello\n0\r\n\r\n',
    'nothing behind the data': '5\r\nhello0\r\n\r\n',
    'more data than said': '5\r\nhello!\r\n0\r\n\r\n',
    'less data than said': '6\r\nhello\r\n0\r\n\r\n',
    'space behind the size': '5 \r\nhello\r\n0\r\n\r\n',
    'space before the size': ' 5\r\nhello\r\n0\r\n\r\n',
    'tab before the size': '\t5\r\nhello\r\n0\r\n\r\n',
    'size with 0x': '0x5\r\nhello\r\n0\r\n\r\n',
    'size with a plus': '+5\r\nhello\r\n0\r\n\r\n',
    'size with a minus': '-5\r\nhello\r\n0\r\n\r\n',
    'size with an underscore': '0_5\r\nhello\r\n0\r\n\r\n',
    'size with a comma': '5,5\r\nhello\r\n0\r\n\r\n',
    'size with NUL': '5\0\r\nhello\r\n0\r\n\r\n',
    'no hexadecimal size': 'g\r\nhello\r\n0\r\n\r\n',
    'no size': '\r\nhello\r\n0\r\n\r\n',
    'an extension alone': ';x\r\nhello\r\n0\r\n\r\n',
    'size of 65 bits': '10000000000000005\r\nhello\r\n0\r\n\r\n',
    'size of 17 zeros': '00000000000000005\r\nhello\r\n0\r\n\r\n',
    'size of all ones and more': 'fffffffffffffffff\r\nhello\r\n0\r\n\r\n',
    'LF in an extension': '5;a\nb\r\nhello\r\n0\r\n\r\n',
    'CR in an extension': '5;a\rb\r\nhello\r\n0\r\n\r\n',
    'NUL in an extension': '5;a\0b\r\nhello\r\n0\r\n\r\n',
    'LF in a quoted extension': '5;a="\n"\r\nhello\r\n0\r\n\r\n',
    'an extension of 9 KiB': `5;${'x'.repeat(9 << 10)}\r\nhello\r\n0\r\n\r\n`,
    'LF at the end': '5\r\nhello\r\n0\r\n\n',
    'LF twice at the end': '5\r\nhello\r\n0\n\n',
    'LF behind the last size': '5\r\nhello\r\n0\n\r\n',
    'CR in a trailer': '5\r\nhello\r\n0\r\nX: y\rZ: z\r\n\r\n',
    'LF behind a trailer': '5\r\nhello\r\n0\r\nX: y\nZ: z\r\n\r\n',
    'folded trailer': '5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n',
    'trailer that begins with a space': '5\r\nhello\r\n0\r\n X: y\r\n\r\n',
    'trailer without a colon': '5\r\nhello\r\n0\r\nX\r\n\r\n',
    'trailer with a space before its colon': '5\r\nhello\r\n0\r\nX : y\r\n\r\n',
    'NUL in a trailer': '5\r\nhello\r\n0\r\nX: \0\r\n\r\n',
    'trailers of 9 KiB': `5\r\nhello\r\n0\r\nX: ${'x'.repeat(9 << 10)}\r\n\r\n`,
    'a request for the last chunk': '5\r\nhello\r\nGET /ID/smuggled HTTP/1.1\r\nHost: a\r\n\r\n',
  }),
  ...heard({
    'upper and lower case': [
      chunked('A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n'),
      'POST /ID 01234567890123456789',
    ],
    'sizes with zeros': [chunked('0000005\r\nhello\r\n000\r\n\r\n'), 'POST /ID hello'],
    'an extension': [chunked('5;x=y\r\nhello\r\n0;z\r\n\r\n'), 'POST /ID hello'],
    'a quoted extension': [chunked('5;x="a;b=0"\r\nhello\r\n0\r\n\r\n'), 'POST /ID hello'],
    'no data': [chunked('0\r\n\r\n'), 'POST /ID '],
    'a trailer': [chunked('5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n'), 'POST /ID hello'],
    'a length for a trailer': [chunked('5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n'), 'POST /ID hello'],
    'a coding for a trailer': [chunked('5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n'), 'POST /ID hello'],
    'a Host for a trailer': [chunked('5\r\nhello\r\n0\r\nHost: b\r\nConnection: close\r\n\r\n'), 'POST /ID hello'],
    'announced trailers': [
      post(
        'Transfer-Encoding: chunked\r\nTrailer: Content-Length, X\r\n',
        '5\r\nhello\r\n0\r\nContent-Length: 9\r\nX: y\r\n\r\n',
      ),
      'POST /ID hello',
    ],
  }),
]

const line = (text: string): string => `${text}\r\nHost: a\r\n\r\n`
const host = (fields: string): string => `GET /ID HTTP/1.1\r\n${fields}\r\n`
const LINES: readonly Case[] = [
  ...refused(400, {
    'bare LF throughout': 'GET /ID HTTP/1.1\nHost: a\n\n',
    'bare LF behind the line': 'GET /ID HTTP/1.1\nHost: a\r\n\r\n',
    'bare CR in the line': 'GET /ID HTTP/1.1\rX\r\nHost: a\r\n\r\n',
    'an empty line before it': line('\r\nGET /ID HTTP/1.1'),
    'a space before it': line(' GET /ID HTTP/1.1'),
    'two spaces': line('GET  /ID HTTP/1.1'),
    'a tab for a space': line('GET\t/ID HTTP/1.1'),
    'a space behind it': line('GET /ID HTTP/1.1 '),
    'a space in the target': line('GET /ID x HTTP/1.1'),
    'a request in the target': line('GET /ID HTTP/1.1 X: GET /ID/smuggled HTTP/1.1'),
    'no version': line('GET /ID'),
    'a version in lower case': line('GET /ID http/1.1'),
    'a version with a zero': line('GET /ID HTTP/01.1'),
    'a version of three digits': line('GET /ID HTTP/1.10'),
    'HTTP/0.9': line('GET /ID HTTP/0.9'),
    'no target': line('GET  HTTP/1.1'),
    'NUL in the target': line('GET /ID\0 HTTP/1.1'),
    'DEL in the target': line('GET /ID\u007f HTTP/1.1'),
    'an octet above 127 in the target': line('GET /ID\u00ff HTTP/1.1'),
    'NUL in the method': line('G\0T /ID HTTP/1.1'),
    'a separator in the method': line('G(T /ID HTTP/1.1'),
    'a colon in the method': line('Host: /ID HTTP/1.1'),
    'a target without a slash': line('GET ID HTTP/1.1'),
    'no Host': host(''),
    'two Hosts': host('Host: a\r\nHost: b\r\n'),
    'a Host twice': host('Host: a\r\nHost: a\r\n'),
    'a Host with a space before its colon': host('Host : a\r\n'),
    'and another with a space before it': host('Host: a\r\n Host: b\r\n'),
    'a folded Host': host('Host:\r\n a\r\n'),
    'two names in Host': host('Host: a, b\r\n'),
    'a space in Host': host('Host: a b\r\n'),
    'an @ in Host': host('Host: a@b\r\n'),
    'a slash in Host': host('Host: a/b\r\n'),
    'a ? in Host': host('Host: a?b\r\n'),
    'a # in Host': host('Host: a#b\r\n'),
    'two ports in Host': host('Host: a:80:80\r\n'),
    'a name for a port': host('Host: a:http\r\n'),
    'NUL in Host': host('Host: a\0\r\n'),
    'another host in the target': line('GET http://b/ID HTTP/1.1'),
    'another port in the target': line('GET http://a:81/ID HTTP/1.1'),
    'a user in the target': line('GET http://a@b/ID HTTP/1.1'),
    'no host in the target': line('GET http:///ID HTTP/1.1'),
    'a name with a space': get('X Y: z\r\n'),
    'a name with a parenthesis': get('X(: z\r\n'),
    'no name': get(': z\r\n'),
    'a name alone': get('X\r\n'),
    'NUL in a value': get('X: a\0b\r\n'),
    'a control character in a value': get('X: a\u0001b\r\n'),
    'DEL in a value': get('X: a\u007fb\r\n'),
    'an octet above 127 in a name': get('X\u00e9: y\r\n'),
    'a folded value': get('X: a\r\n b\r\n'),
    'a folded value, with a tab': get('X: a\r\n\tb\r\n'),
    'a first line that is folded': host(' X: y\r\nHost: a\r\n'),
  }),
  ...refused(505, {
    'HTTP/1.2': line('GET /ID HTTP/1.2'),
    'HTTP/2.0': line('GET /ID HTTP/2.0'),
    'HTTP/9.9': line('GET /ID HTTP/9.9'),
  }),
  ...heard({
    'a target with its host': [line('GET http://a/ID HTTP/1.1'), 'GET /ID '],
    'a target with its host in upper case': [line('GET http://A/ID HTTP/1.1'), 'GET /ID '],
    'encoded line ends in the target': [line('GET /ID%0D%0AX:%20y HTTP/1.1'), 'GET /ID%0D%0AX:%20y '],
    'an encoded slash': [line('GET /ID%2Fx HTTP/1.1'), 'GET /ID%2Fx '],
    'a colon in the target': [line('GET /ID:80 HTTP/1.1'), 'GET /ID:80 '],
    'octets above 127 in a value': [get('X: \u00e9\u00ff\r\n'), 'GET /ID '],
    'a name with an underscore': [get('X_Forwarded_For: 9.9.9.9\r\n'), 'GET /ID '],
    'HTTP/1.0 that stays': [`GET /ID HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n`, 'GET /ID '],
  }),
  { name: 'HTTP/1.0 ends', text: line('GET /ID HTTP/1.0'), expected: { hears: ['GET /ID '], closes: true } },
]

const CONNECTIONS: readonly Case[] = [
  ...heard({
    'Host named in Connection': [get('Connection: Host\r\n'), 'GET /ID '],
    'a field named in Connection': [get('Connection: X-Secret\r\nX-Secret: 1\r\n'), 'GET /ID '],
    'Keep-Alive': [get('Connection: keep-alive\r\nKeep-Alive: timeout=5, max=1\r\n'), 'GET /ID '],
    'Proxy-Connection': [get('Proxy-Connection: close\r\n'), 'GET /ID '],
    'Expect with a body': [post('Expect: 100-continue\r\nContent-Length: 5\r\n', 'hello'), 'POST /ID hello'],
    'Expect with chunks': [post('Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n', HELLO), 'POST /ID hello'],
    'Expect without a body': [get('Expect: 100-continue\r\n'), 'GET /ID '],
    'an Upgrade that is not taken': [get('Connection: Upgrade\r\nUpgrade: websocket\r\n'), 'GET /ID '],
    'an Upgrade with a body': [
      post('Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n', 'hello'),
      'POST /ID hello',
    ],
    'an Upgrade that Connection does not name': [get('Upgrade: websocket\r\n'), 'GET /ID '],
    'an Upgrade to HTTP/2': [
      get('Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'),
      'GET /ID ',
    ],
    'an Upgrade to HTTP/2 among others': [
      get('Connection: Upgrade\r\nUpgrade: websocket, h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'),
      'GET /ID ',
    ],
    'three at once': [`${length('5')}${chunked(HELLO)}${get('')}`, 'POST /ID hello', 'POST /ID hello', 'GET /ID '],
    'twenty at once': [length('5').repeat(20), ...Array.from({ length: 20 }, () => 'POST /ID hello')],
  }),
  {
    name: 'close',
    text: post('Connection: close\r\nContent-Length: 5\r\n', 'hello'),
    expected: { hears: ['POST /ID hello'], closes: true },
  },
  {
    name: 'close among others',
    text: get('Connection: x, Close\r\n'),
    expected: { hears: ['GET /ID '], closes: true },
  },
  {
    name: 'the preface of HTTP/2 behind one',
    text: `${get('')}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`,
    expected: { hears: ['GET /ID '], ends: 505 },
  },
  {
    name: 'a bad one behind a good one',
    text: `${length('5')}${post('Content-Length: 5, 5\r\n', 'hello')}`,
    expected: { hears: ['POST /ID hello'], ends: 400 },
  },
  {
    name: 'a bad body behind a good one',
    text: `${length('5')}${chunked('5\nhello\r\n0\r\n\r\n')}`,
    expected: { hears: ['POST /ID hello'], ends: 'cut' },
  },
  { name: 'CONNECT', text: 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n', expected: { says: 405 } },
]

export const CASES: readonly Case[] = [...CODINGS, ...LENGTHS, ...CHUNKS, ...LINES, ...CONNECTIONS]
