/** Where connections arrive, counted; and somebody who knocks. */
import { connect, createServer, type AddressInfo, type Server } from 'node:net'

export interface Place {
  readonly server: Server
  readonly port: number
  accepted: number
}

/** A server on a port of its own, on every address, that resets what it accepts. */
export async function listen(): Promise<Place> {
  const server = createServer((socket) => {
    place.accepted++
    socket.on('error', () => {})
    socket.resetAndDestroy()
  })
  const place = { server, port: 0, accepted: 0 }
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
  return Object.assign(place, { port: (server.address() as AddressInfo).port })
}

/**
 * One connection to port 80, from NOT_A_POD; ends when it was accepted and reset, was refused, or went nowhere for a second.
 * Each has a source port of its own: with one that was used a moment ago, conntrack remembers where that one went, and the
 * new one goes there too, whatever the rules say now.
 */
export function knock(host: string): Promise<void> {
  port = port === PORT_LAST ? PORT_FIRST : port + 1
  return new Promise((resolve) => {
    const socket = connect({ host, port: 80, localAddress: NOT_A_POD, localPort: port })
    socket.setTimeout(KNOCK_MAX_MS, () => socket.destroy())
    socket.on('error', () => {})
    socket.once('close', () => resolve())
  })
}

/** An address that whoever knocks must have. */
export const NOT_A_POD = '10.127.0.1'
const KNOCK_MAX_MS = 1000
/** Below the ports that the kernel gives to servers here. */
const PORT_FIRST = 11_000
const PORT_LAST = 32_000
let port = PORT_FIRST
