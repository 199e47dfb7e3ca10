/**
 * A client of a DNS server, as a process of its own: `dnsclient.ts ADDRESS udp|tcp` asks for `who.test A` once, and prints
 * the address, or `refused` or `silent`. `dnsclient.ts ADDRESS steady` asks every 5 ms over UDP, each time once, from a port
 * of its own, until standard input ends, and then prints how often each address (or `silent` ...) was the answer, as JSON.
 */
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

const [server = '', how = 'udp', waitMs = '5000'] = process.argv.slice(2)

const QUERY = Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, ...Buffer.from('who'), 4, ...Buffer.from('test'), 0, 0, 1, 0, 1]) // prettier-ignore

/** The last four octets are the address of the only record. */
const read = (answer: Buffer): string =>
  answer.readUInt16BE(6) === 1 ? [...answer.subarray(-4)].join('.') : `rcode ${answer[3]! & 15}`

function overUdp(): Promise<string> {
  const socket = createSocket(server.includes(':') ? 'udp6' : 'udp4')
  return new Promise<string>((resolve) => {
    const timer = setTimeout(() => resolve('silent'), Number(waitMs))
    socket.once('message', (answer) => (clearTimeout(timer), resolve(read(answer))))
    socket.once('error', (error) => (clearTimeout(timer), resolve(/REFUSED/.test(error.message) ? 'refused' : error.message))) // prettier-ignore
    socket.connect(53, server, () => socket.send(QUERY))
  }).finally(() => socket.close())
}

function overTcp(): Promise<string> {
  const socket = connect({ host: server, port: 53 })
  const chunks: Buffer[] = []
  return new Promise<string>((resolve) => {
    socket.setTimeout(Number(waitMs), () => resolve('silent'))
    socket.once('error', () => resolve('refused'))
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      const all = Buffer.concat(chunks)
      if (all.length > 2 && all.length >= 2 + all.readUInt16BE(0)) resolve(read(all.subarray(2)))
    })
    socket.write(Buffer.concat([Buffer.from([0, QUERY.length]), QUERY]))
  }).finally(() => socket.destroy())
}

if (how === 'tcp') console.log(await overTcp())
else if (how === 'udp') console.log(await overUdp())
else {
  const counts: Record<string, number> = {}
  const asked: Promise<void>[] = []
  process.stdin.resume()
  while (!process.stdin.readableEnded) {
    asked.push(overUdp().then((said) => void (counts[said] = (counts[said] ?? 0) + 1)))
    if (asked.length === 1) await asked[0]!.then(() => console.log('{"ready":true}'))
    await pause(5)
  }
  await Promise.all(asked)
  console.log(JSON.stringify(counts))
}
