/** Spans on their way to collectors of each kind: over gRPC and HTTP, in the clear and by TLS, with Node's own servers. */
import { writeFileSync } from 'node:fs'
import {
  createServer as createGrpc,
  createSecureServer as createGrpcs,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import { createServer as createHttps } from 'node:https'
import { join } from 'node:path'
import t from 'tap'
import { selfSigned } from '../../src/ingress/selfsigned.ts'
import { backendObjects, CLASS, configMap, ingress } from '../contract/ingress-objects.ts'
import { ShippedIngress } from './ingress-shipped.ts'
import { until } from './waiting.ts'
import { enterWorld, ip } from './world.ts'

await enterWorld()
t.setTimeout(570_000)

t.test('spans reach a collector as it wants them', async (t) => {
  const shipped = new ShippedIngress()
  t.teardown(() => shipped.end())
  await ip('addr add 10.9.0.1/32 dev lo')
  const pair = (): { cert: string; key: string } => {
    const validity = { notBefore: new Date('2020-01-01'), notAfter: new Date('2100-01-01') }
    const { chain, key } = selfSigned({ names: ['localhost'], organization: 'x', commonName: 'collector', ...validity })
    return { cert: chain, key }
  }
  const trusted = pair()
  process.env['SSL_CERT_FILE'] = join(shipped.folder, 'authorities.pem')
  writeFileSync(process.env['SSL_CERT_FILE'], trusted.cert)

  const [clear, secure, https, stranger]: [Buffer[], Buffer[], Buffer[], Buffer[]] = [[], [], [], []]
  const servers = [
    createGrpc((asked, answer) => void take(asked, answer, clear)).listen(4317, '10.9.0.1'),
    createGrpcs(trusted, (asked, answer) => void take(asked, answer, secure)).listen(4317, '127.0.0.1'),
    httpsServer(trusted, https).listen(4318, '127.0.0.1'),
    httpsServer(pair(), stranger).listen(4319, '127.0.0.1'),
  ]
  t.teardown(() => servers.forEach((server) => server.close()))

  const write = (host: string, port: string): void => {
    const settings = { 'otlp-collector-host': host, 'otlp-collector-port': port, 'enable-opentelemetry': 'true' }
    const backend = backendObjects('x/a', []) // 503 is told of, too
    shipped.write(CLASS, ...backend, configMap('x/settings', settings), ingress('x/i', { paths: { '/': 'a' } }))
  }
  const asked = async (): Promise<void> => void (await shipped.get('http://a.org/'))
  write('10.9.0.1', '4317')
  await shipped.begin('--configmap', 'x/settings')
  for (const [name, got, host, port] of [
    ['gRPC', clear, '10.9.0.1', '4317'],
    ['gRPC with TLS', secure, 'https://localhost', '4317'],
    ['HTTPS', https, 'https://localhost', '4318'],
  ] as const) {
    write(host, port)
    await until(`spans come by ${name}`, async () => {
      await asked()
      return got.length > 0
    })
    t.ok(got[0]!.includes('service.name'), name)
  }
  const failed = async (): Promise<number> =>
    Number(/fairlead_proxy_spans_total\{result="failed"\} (\d+)/.exec((await shipped.page('/metrics')).body)?.[1])
  const before = await failed()
  write('https://localhost', '4319')
  const lost = /traces are lost: the collector localhost:4319: TLS: .*takes OTLP over HTTPS/
  await until('spans for a stranger are lost, and that is said', async () => {
    await asked()
    return (await failed()) > before && lost.test(shipped.said.join('\n'))
  })
  t.equal(stranger.length, 0, 'who shows another certificate gets none')
})

/** The first time it has no time: what may be sent again is. */
async function take(asked: Http2ServerRequest, answer: Http2ServerResponse, got: Buffer[]): Promise<void> {
  const pieces: Buffer[] = []
  for await (const piece of asked) pieces.push(piece as Buffer)
  const octets = Buffer.concat(pieces)
  const isGood = asked.url === EXPORT && octets[0] === 0 && octets.readUInt32BE(1) === octets.length - 5
  const isBusy = !BUSY.has(got)
  BUSY.add(got)
  answer.setHeader('content-type', 'application/grpc')
  answer.addTrailers({ 'grpc-status': isBusy ? '14' : isGood ? '0' : '3' })
  answer.end(Buffer.from([0, 0, 0, 0, 0]))
  if (!isBusy && isGood) got.push(octets)
}

const httpsServer = (pair: { cert: string; key: string }, got: Buffer[]) =>
  createHttps(pair, (asked, answer) => {
    const pieces: Buffer[] = []
    asked.on('data', (piece: Buffer) => pieces.push(piece))
    asked.on('end', () => {
      if (asked.url === '/v1/traces') got.push(Buffer.concat(pieces))
      answer.end()
    })
  })

const BUSY = new Set<Buffer[]>()
const EXPORT = '/opentelemetry.proto.collector.trace.v1.TraceService/Export'
