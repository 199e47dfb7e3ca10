/** What requests come to: servers that say what they got, one that fails, and one that is not there. */
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttp2 } from 'node:http2'
import { createServer as createHttps } from 'node:https'
import type { TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import { selfSigned } from '../../src/ingress/selfsigned.ts'
import { secret } from '../contract/ingress-objects.ts'
import type { Raw } from '../contract/service-objects.ts'
import { ip } from './world.ts'

/** Starts them; returns Secrets that they are known by. */
export async function backends(t: Test): Promise<Raw[]> {
  await ip(...[1, 2, 4, 5, 6].map((number) => `addr add 10.9.0.${number}/32 dev lo`))
  await ip(
    ...['link add void type veth peer name beyond', 'addr add 10.10.0.1/24 dev void', 'link set void up'],
    // Whatever is sent there is for somebody else.
    ...['link set beyond up', 'neigh add 10.10.0.2 lladdr 02:00:00:00:00:02 dev void'],
  )
  const { chain, key } = selfSigned({
    ...{ names: ['inner.org'], organization: 'Test', commonName: 'inner.org' },
    ...{ notBefore: new Date('2026-01-01'), notAfter: new Date('2036-01-01') },
  })
  const servers = [
    createHttp(answer).listen(8080, '10.9.0.1'),
    createHttp(answer).listen(8081, '10.9.0.1'),
    createHttp(answer).listen(8080, '10.9.0.2'),
    createHttps({ cert: chain, key }, answer).listen(8080, '10.9.0.4'),
    createHttp2((asked, answered) => answer(asked as never, answered as never)).listen(8080, '10.9.0.5'),
    createHttp((_, answered) => answered.writeHead(503).end()).listen(8080, '10.9.0.6'),
  ]
  t.teardown(() => servers.forEach((server) => server.close()))
  return [secret('x/tls', { 'ca.crt': chain })]
}

/** Says what it got. */
function answer(asked: IncomingMessage, answered: ServerResponse): void {
  const { url = '', socket } = asked
  if (url === '/silence') return
  asked.resume()
  if (url === '/cookie') answered.setHeader('set-cookie', 's=1; Domain=in.org; Path=/app/x')
  if (url === '/moved') answered.statusCode = 302
  if (url === '/moved') answered.setHeader('location', 'http://in.org/x')
  answered.setHeader('content-type', 'text/plain')
  if (url === '/large') return void answered.end(LARGE)
  const { servername: sni } = socket as TLSSocket
  const protocol = 'getProtocol' in socket ? (socket as TLSSocket).getProtocol() : null
  const said = { ...asked.headers, url, server: socket.localAddress, sni, protocol }
  asked.on('end', () => answered.end(JSON.stringify(said)))
}

export const LARGE = 'three kilobytes '.repeat(192)
