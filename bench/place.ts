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

/** One connection to port 80; ends when it was accepted and reset, was refused, or went nowhere for a second. */
export function knock(host: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: 80 })
    socket.setTimeout(KNOCK_MAX_MS, () => socket.destroy())
    socket.on('error', () => {})
    socket.once('close', () => resolve())
  })
}

const KNOCK_MAX_MS = 1000
