/** A WebSocket server (RFC 6455) that says what it hears, for tests: small text messages only. */
import { createHash } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { Duplex } from 'node:stream'

/** Answers plain requests with `name`. Listens on every address of this world. */
export async function echoServer(name: string, port: number): Promise<{ close(): Promise<void> }> {
  const open = new Set<Duplex>()
  const server: Server = createServer((_, response) => response.end(name))
  server.on('upgrade', (request, socket: Duplex) => {
    open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => open.delete(socket))
    const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}${MAGIC}`).digest('base64')
    const head = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade']
    socket.write(`${[...head, `Sec-WebSocket-Accept: ${accept}`].join('\r\n')}\r\n\r\n`)
    let rest = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      for (let frame = frameOf(rest); frame !== null; frame = frameOf(rest)) {
        rest = rest.subarray(frame.length)
        socket.write(Buffer.concat([Buffer.from([FIN | frame.opcode, frame.body.length]), frame.body]))
        if (frame.opcode === CLOSE) socket.end()
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(port, resolve))
  return {
    async close() {
      for (const socket of open) socket.destroy()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** null: not all of it is here yet. Of fewer than 126 octets, masked as a client's is. */
function frameOf(octets: Buffer): { opcode: number; body: Buffer; length: number } | null {
  const size = (octets[1] ?? 0) & 0x7f
  const length = 6 + size
  if (octets.length < length) return null
  const mask = octets.subarray(2, 6)
  const body = Buffer.from(octets.subarray(6, length).map((octet, i) => octet ^ mask[i % 4]!))
  return { opcode: octets[0]! & 0x0f, body, length }
}

const MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const FIN = 0x80
const CLOSE = 8
