/**
 * The ingress as it ships in front of a real nginx: both take the same octets for the same requests and bodies, or the
 * connection ends; and no connection between them is ever out of step.
 */
import { connect } from 'node:net'
import t from 'tap'
import { fetchDebian, findDebian } from '../../bench/debian.ts'
import { PACKAGES } from '../../bench/proxies.ts'
import { enterWorld } from '../netns/world.ts'
import { besideNginx, shown } from './nginx.ts'
import { CASES, type Expected } from './smuggling-cases.ts'

// There is no way out of the world.
if (process.env['FAIRLEAD_WORLD'] === undefined) await fetchDebian(PACKAGES)
await enterWorld()
t.setTimeout(600_000)
const skip = (await findDebian(PACKAGES)) === null && 'nginx is not there: as root, npm run bench -- http fetches it'

t.test('HTTP/1.1: request by request, body by body', { skip }, async (t) => {
  const seen: string[][] = []
  const heard = await besideNginx(t, async () => {
    for (const [number, { text }] of CASES.entries()) seen.push(await converse(number, text))
  })
  t.ok(CASES.length >= 200, `${CASES.length} cases`)
  for (const [number, { name, expected }] of CASES.entries()) {
    const label = `${number} ${name}`
    const own = heard.filter(({ target }) => new RegExp(`/${number}(?!\\d)`).test(target))
    const whole = own.filter(({ status }) => status === 200)
    const passed = [...(expected.hears ?? []), ...(goesOn(expected) ? ['GET /ID/behind '] : [])]
    const wanted = passed.map((text) => text.replace('/ID', `/${number}`))
    t.same(whole.map(shown), wanted, `${label}: what nginx hears`)
    const answers = [...(expected.says ? [`${expected.says}`] : []), ...wanted.map((text) => `200 ${answerTo(text)}`)]
    if (typeof expected.ends === 'number') answers.push(`${expected.ends}`)
    const cut = expected.ends === 'cut' && seen[number]!.length > answers.length ? ['400'] : []
    t.same(seen[number], [...answers, ...cut], `${label}: what the client is answered`)
    const halves = own.filter(({ status }) => status !== 200)
    t.ok(halves.length === 0 || expected.ends === 'cut', `${label}: nothing half-heard`)
  }
  const strangers = heard.filter(({ target }) => !/^\/(\d+|served$)/.test(target))
  t.same(strangers, [], 'nothing else is taken for a request')
  t.same(
    heard.filter(({ upgrade }) => upgrade !== '' && upgrade !== 'websocket'),
    [],
    'HTTP/2 is no way past us',
  )
  t.ok(
    heard.some(({ turn }) => turn > 20),
    'connections to nginx were used again',
  )
})

/** Sends the case with a request behind it, and returns status and body of each answer until the end of the connection. */
function converse(number: number, text: string): Promise<string[]> {
  const behind = `GET /${number}/behind HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`
  const octets = Buffer.from(text.replaceAll('/ID', `/${number}`).replaceAll(' ID', ` ${number}`) + behind, 'latin1')
  return new Promise((resolve, reject) => {
    const socket = connect(80, '127.0.0.1', () => socket.write(octets))
    const pieces: Buffer[] = []
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error(`case ${number}: the connection does not end`)))
    socket.on('data', (piece: Buffer) => pieces.push(piece))
    socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' ? undefined : reject(error)))
    socket.on('close', () => resolve(answers(Buffer.concat(pieces).toString('latin1'))))
  })
}

/** `STATUS BODY` of those that nginx gave, `STATUS` of the proxy's own. */
function answers(text: string): string[] {
  const found: string[] = []
  let rest = text
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n')
    const head = rest.slice(0, end)
    const status = Number(/^HTTP\/1\.[01] (\d{3}) /.exec(head)?.[1])
    const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0)
    if (end < 0 || !status) return [...found, `unreadable: ${rest}`]
    if (status >= 200) found.push(status === 200 ? `200 ${rest.slice(end + 4, end + 4 + length)}` : `${status}`)
    rest = rest.slice(end + 4 + (status >= 200 ? length : 0))
  }
  return found
}

const goesOn = ({ ends, closes }: Expected): boolean => ends === undefined && !closes
const answerTo = (text: string): string => text.split(' ').slice(0, 2).join(' ')
const PATIENCE_MS = 60_000
