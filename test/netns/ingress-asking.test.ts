/** Annotations by which an ingress asks others: external authentication, pages of errors, mirrors, traces; with real servers. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import t from 'tap'
import { backendObjects, CLASS, configMap, endpointsOf, ingress } from '../contract/ingress-objects.ts'
import { ShippedIngress } from './ingress-shipped.ts'
import { until } from './waiting.ts'
import { enterWorld, ip } from './world.ts'

await enterWorld()
t.setTimeout(570_000)

interface Got {
  readonly line: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

t.test('who is asked, and what comes of it', async (t) => {
  const shipped = new ShippedIngress()
  t.teardown(() => shipped.end())
  await ip('addr add 10.9.0.1/32 dev lo')
  const backend = listen(8080, (got, answer) => {
    answer.statusCode = got.line.includes('/lost') ? 404 : 200
    answer.end('backend')
  })
  const auth = listen(9001, (got, answer) => {
    if (got.headers.cookie !== 'who=alice') return void answer.writeHead(401, { 'set-cookie': 'seen=1' }).end()
    answer.writeHead(202, { 'x-user': 'alice' }).end()
  })
  const pages = listen(9002, (got, answer) => {
    answer.statusCode = Number(got.headers['x-code'])
    answer.end(`page ${got.headers['x-code']}`)
  })
  const copies = listen(9003, (_, answer) => void answer.writeHead(500).end())
  const collector = listen(4318, (_, answer) => void answer.end())
  t.teardown(() => [backend, auth, pages, copies, collector].forEach(({ server }) => server.close()))

  const pagesOf = backendObjects('x/pages', [])[0]!
  shipped.write(
    CLASS,
    ...backendObjects('x/a', ['10.9.0.1']),
    pagesOf,
    endpointsOf('x/pages', [{ addresses: ['10.9.0.1'], conditions: { ready: true } }], [{ name: 'http', port: 9002 }]),
    ...backendObjects('x/none', []),
    configMap('x/settings', { 'otlp-collector-host': '10.9.0.1', 'enable-opentelemetry': 'true' }),
    configMap('x/question', { 'X-Asked-By': '$namespace-$http_user_agent' }),
    ingress('x/guarded', {
      paths: { 'guarded.org/': 'a' },
      annotations: {
        'auth-url': 'http://10.9.0.1:9001/check?path=$escaped_request_uri',
        'auth-signin': 'https://login.org/in?x=1',
        'auth-response-headers': 'X-User',
        'auth-proxy-set-headers': 'x/question',
        'auth-cache-key': '$cookie_who',
        'auth-cache-duration': '200 202 10m',
      },
    }),
    ingress('x/paged', {
      paths: { 'paged.org/': 'a', 'paged.org/none': 'none' },
      annotations: { 'custom-http-errors': '404,503', 'default-backend': 'pages' },
    }),
    ingress('x/mirrored', {
      paths: { 'mirrored.org/': 'a' },
      annotations: {
        'mirror-target': 'http://10.9.0.1:9003/copy$request_uri',
        'mirror-host': 'copies.org',
        'enable-opentelemetry': 'false',
      },
    }),
    ingress('x/plain', { paths: { 'plain.org/': 'a', 'plain.org/none': 'none' } }),
  )
  await shipped.begin('--configmap', 'x/settings')
  t.teardown(() => t.passing() || t.comment(shipped.said.filter((line) => !line.startsWith('{')).join('\n')))

  await until('served', async () => (await shipped.get('http://plain.org/')).status === 200)
  t.match(backend.last().headers['traceparent'], /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
  t.equal((await shipped.get('http://plain.org/none')).status, 503, 'a Service without endpoints')

  const before = backend.got.length
  const unknown = await shipped.get('http://guarded.org/p?q=1', { headers: { 'x-user': 'root' } })
  t.match(unknown, {
    status: 302,
    headers: {
      location: 'https://login.org/in?x=1&rd=http://guarded.org%2Fp%3Fq%3D1',
      'set-cookie': ['seen=1'],
    },
  })
  t.equal(backend.got.length, before)
  t.match(auth.last(), {
    line: 'GET /check?path=%2Fp%3Fq%3D1',
    headers: {
      host: '10.9.0.1',
      'x-original-url': 'http://guarded.org/p?q=1',
      'x-original-method': 'GET',
      'x-sent-from': 'nginx-ingress-controller',
      'x-real-ip': '127.0.0.1',
      'x-forwarded-for': '127.0.0.1',
      'x-auth-request-redirect': '/p?q=1',
    },
  })
  const asked = auth.got.length
  for (let i = 0; i < 3; i++) {
    const headers = { cookie: 'who=alice', 'x-user': 'root', 'content-length': '2' }
    t.equal((await shipped.get('http://guarded.org/', { method: 'POST', headers, body: 'hi' })).status, 200)
    t.match(backend.last(), { body: 'hi', headers: { 'x-user': 'alice' } })
  }
  t.equal(auth.got.length - asked, 1, 'the answer was kept')
  t.equal(auth.last().body, '')

  t.match(await shipped.get('http://paged.org/lost', { headers: { accept: 'text/css' } }), {
    status: 404,
    body: 'page 404',
  })
  t.match(pages.last().headers, {
    ...{ 'x-code': '404', 'x-format': 'text/css', 'x-original-uri': '/lost', 'x-namespace': 'x' },
    ...{ 'x-ingress-name': 'paged', 'x-service-name': 'a', 'x-service-port': '80' },
  })

  t.equal((await shipped.get('http://mirrored.org/m', { method: 'POST', body: 'hello' })).status, 200)
  t.equal(backend.last().headers['traceparent'], undefined)
  await until('the copy', () => copies.got.length === 1)
  t.match(copies.last(), { line: 'POST /copy/m', body: 'hello', headers: { host: 'copies.org' } })
  await until('spans', () => collector.got.length > 0)
  t.match(collector.last(), { line: 'POST /v1/traces', headers: { 'content-type': 'application/x-protobuf' } })
  // Counted once it is answered.
  const sent = /fairlead_proxy_mirrored_total\{result="sent"\} 1\n/
  await until('it is counted', async () => sent.test((await shipped.page('/metrics')).body))
  t.notMatch(shipped.said.join('\n'), /not served|refused/)
})

/** Of 10.9.0.1; keeps what it got. */
function listen(port: number, answer: (got: Got, response: ServerResponse) => void) {
  const got: Got[] = []
  const server: Server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      const one = { line: `${request.method} ${request.url}`, headers: request.headers, body }
      got.push(one)
      answer(one, response)
    })
  }).listen(port, '10.9.0.1')
  return { server, got, last: () => got.at(-1)! }
}
