/** ExternalName: backends that are names, looked up in a real DNS, as /etc/resolv.conf says. */
import { createSocket, type Socket } from 'node:dgram'
import { createServer, type Server } from 'node:http'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { exec } from '../../src/kernel/exec.ts'
import { CLASS, ingress } from '../contract/ingress-objects.ts'
import type { Raw } from '../contract/service-objects.ts'
import { DnsServer } from './dnsserver.ts'
import { ShippedIngress } from './ingress-shipped.ts'
import { until } from './waiting.ts'
import { enterWorld, ip } from './world.ts'

await enterWorld()
t.setTimeout(570_000)

t.test('names are followed; what cannot be looked up keeps its last addresses, and is told', async (t) => {
  const shipped = new ShippedIngress()
  t.teardown(() => shipped.end())
  await ip(
    ...['10.9.0.1/32', '10.9.0.2/32', '10.9.0.3/32', 'fd09::3/128'].map((each) => `addr add ${each} dev lo nodad`),
  )
  const servers = [
    ['10.9.0.1', 'one'],
    ['10.9.0.2', 'two'],
    ['fd09::3', 'six'],
  ].map(([address, word]) => listen(address!, word!))
  t.teardown(() => servers.forEach((server) => server.close()))
  const file = join(shipped.folder, 'resolv.conf')
  writeFileSync(file, 'nameserver 127.0.0.1\nsearch example.org\noptions ndots:5 timeout:1 attempts:1\n')
  const mounted = await exec(['mount', '--bind', file, '/etc/resolv.conf'])
  if (mounted.kind !== 'done') return t.fail('cannot mount resolv.conf')
  let dns = serve(shipped.folder, ['10.9.0.1 web.example.org', '10.9.0.3 both.example.org', 'fd09::3 both.example.org'])
  t.teardown(() => dns.kill())

  const names = { web: 'web.example.org', short: 'web', both: 'both.example.org', broken: 'broken.example.org' }
  const paths = Object.fromEntries(Object.keys(names).map((name) => [`${name}.org/`, `${name}:9000`]))
  const annotations = { 'proxy-next-upstream': 'off' }
  const asks = {
    ...{ 'auth-url': 'http://broken.example.org/check', 'mirror-target': 'http://broken.example.org$request_uri' },
    'default-backend': 'broken',
  }
  shipped.write(
    ...[CLASS, ...Object.entries(names).map(externalName), ingress('x/i', { paths, annotations })],
    ...[ingress('x/asks', { paths: { 'asks.org/': 'web:9000' }, annotations: asks }), TCP],
  )
  await shipped.begin('--tcp-services-configmap', 'x/tcp', '--default-backend-service', 'x/broken')
  const body = async (host: string): Promise<string> => {
    const { status, body: text } = await shipped.get(`http://${host}.org/`)
    return status === 200 ? text : String(status)
  }
  await until('a name', async () => (await body('web')) === 'one')
  await until('a name below a search domain', async () => (await body('short')) === 'one')
  await until('a name of both families', async () => (await body('both')) === 'six')
  for (let i = 0; i < 20; i++)
    t.equal(await body('both'), 'six', 'nobody listens on the other family: no request is lost')
  t.equal(await body('broken'), '503')
  const failing = async (name: string): Promise<string | undefined> => {
    const { body: text } = await shipped.page('/metrics')
    return new RegExp(`fairlead_proxy_name_failing\\{name="${name}",result="(\\w+)"\\} 1`).exec(text)?.[1]
  }
  await until('SERVFAIL is told', async () => (await failing('broken.example.org')) === 'servfail')
  const told = async (name: string): Promise<boolean> =>
    (await shipped.complaints()).some((each) =>
      each.includes(`the Service x/${name}, whose externalName ${name}.example.org cannot be looked up: servfail`),
    )
  await until('of the Ingress, too', () => told('broken'))
  const logged = /cannot look up broken\.example\.org: servfail; requests to it get 503; see the log/
  await until('and in the log', () => logged.test(shipped.said.join('\n')))
  const where = [
    'Ingress x/asks metadata.annotations[nginx.ingress.kubernetes.io/auth-url]: names broken.example.org, which',
    'Ingress x/asks metadata.annotations[nginx.ingress.kubernetes.io/mirror-target]: names broken.example.org, which',
    'Ingress x/asks metadata.annotations[nginx.ingress.kubernetes.io/default-backend]: names the Service x/broken, whose',
    'ConfigMap x/tcp data[9100]: names broken.example.org, which',
    'Service x/broken spec.externalName: names the Service x/broken, whose',
  ]
  for (const each of where)
    await until(each, async () => (await shipped.complaints()).some((complaint) => complaint.startsWith(each)))

  await dns.kill()
  dns = serve(shipped.folder, ['10.9.0.2 web.example.org'], ['both.example.org'])
  await until('the name is another address', async () => (await body('web')) === 'two')
  await until('and by the search domain', async () => (await body('short')) === 'two')
  await until('NXDOMAIN is told', async () => (await failing('both.example.org')) === 'nxdomain')
  t.equal(await body('both'), 'six', 'the last addresses stay')

  await dns.kill()
  await until('silence is told', async () => /timeout|error/.test((await failing('web.example.org')) ?? ''))
  t.equal(await body('web'), 'two', 'the last addresses stay')
  dns = serve(shipped.folder, ['10.9.0.1 web.example.org'])
  await until('it is found again', async () => (await body('web')) === 'one')
  await until('and no longer told', async () => (await failing('web.example.org')) === undefined)

  await t.test('another carrier that takes its place serves once it has looked them up', async (t) => {
    const gate = await Gate.at('127.0.0.3')
    t.teardown(() => gate.close())
    const own = join(shipped.folder, 'resolv.other')
    writeFileSync(own, 'nameserver 127.0.0.3\noptions timeout:60 attempts:1\n')
    const mount = `mount --bind ${own} /etc/resolv.conf && exec "$@"`
    let isReplaced = false
    const replaced = shipped.replaceCarrier('unshare', '--mount', 'sh', '-c', mount, 'sh').then((code) => {
      isReplaced = true
      return code
    })
    await until('it asks', () => gate.held > 0)
    for (let i = 0; i < 10; i++) t.equal(await body('web'), 'one')
    t.equal(isReplaced, false)
    gate.open()
    await until('the other one has ended', async () => {
      t.equal(await body('web'), 'one')
      return isReplaced
    })
    t.equal(await replaced, 0)
    t.equal(await body('web'), 'one')
  })
})

/** Hands queries on to the server at 127.0.0.1, once it is open. */
class Gate {
  readonly #socket = createSocket('udp4')
  readonly #held: (() => void)[] = []
  readonly #onward: Socket[] = []
  #isOpen = false

  static async at(address: string): Promise<Gate> {
    const gate = new Gate()
    await new Promise<void>((resolve) => gate.#socket.bind(53, address, resolve))
    return gate
  }

  private constructor() {
    this.#socket.on('message', (query, { port, address }) => {
      const pass = (): void => {
        const onward = createSocket('udp4')
        this.#onward.push(onward)
        onward.on('message', (answer) => this.#socket.send(answer, port, address))
        onward.send(query, 53, '127.0.0.1')
      }
      if (this.#isOpen) pass()
      else this.#held.push(pass)
    })
  }

  get held(): number {
    return this.#held.length
  }

  open(): void {
    this.#isOpen = true
    for (const pass of this.#held.splice(0)) pass()
  }

  close(): void {
    for (const socket of [this.#socket, ...this.#onward]) socket.close()
  }
}

const externalName = ([name, value]: [string, string]): Raw => ({
  ...{ apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'x', name } },
  spec: { type: 'ExternalName', externalName: value },
})

const TCP: Raw = {
  ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'x', name: 'tcp' } },
  data: { 9100: 'x/broken:9000' },
}

function listen(address: string, word: string): Server {
  const server = createServer((_, answer) => void answer.end(word))
  return server.listen(9000, address)
}

/** `gone`: names that it says are none. */
function serve(folder: string, hosts: readonly string[], gone: readonly string[] = []): DnsServer {
  const saying = (name: string, code: string): string => `template ANY ANY ${name} {\nrcode ${code}\n}`
  const answers = [saying('broken.example.org', 'SERVFAIL'), ...gone.map((name) => saying(name, 'NXDOMAIN'))]
  return new DnsServer({
    folder,
    namespace: 'n1',
    bind: '127.0.0.1',
    lines: [`hosts {\n${hosts.join('\n')}\nttl 1\n}`, ...answers],
  })
}
