/** Ways into the lab: load-balancer addresses as a router outside sees them, and ports of this machine. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { cannot, everybody, LabRun, until } from './labrun.ts'

t.setTimeout(570_000)

const folder = mkdtempSync(join(tmpdir(), 'fairlead-outside-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

t.test('externalTrafficPolicy Local: the address goes where an endpoint is, and follows it', async (t) => {
  const lab = new LabRun(everybody[0]!, {})
  t.teardown(() => lab.remove())
  const file = join(folder, 'local.yaml')
  writeFileSync(file, local('n2'))
  t.match(await lab.cli('up', '--detach', '--nodes', '3', file), { kind: 'done', stdout: /programmed its services/ })
  const routes = (...family: string[]): Promise<string> => lab.inside('outside', 'ip', ...family, 'route')
  const via = async (ip: string): Promise<string[]> => {
    const text = await routes(ip.includes(':') ? '-6' : '-4')
    const after = text
      .slice(text.indexOf(`${ip} nhid`))
      .split('\n')
      .slice(1)
    const end = after.findIndex((line) => !line.startsWith('\t'))
    return after.slice(0, end < 0 ? undefined : end).map((line) => /via (\S+)/.exec(line)?.[1] ?? line)
  }
  const single = async (ip: string): Promise<string | undefined> =>
    new RegExp(`${ip} nhid \\d+ via (\\S+)`).exec(await routes(ip.includes(':') ? '-6' : '-4'))?.[1]
  const hops = async (ip: string): Promise<string[]> => {
    const only = await single(ip)
    return only === undefined ? via(ip) : [only]
  }
  await until(async () => (await hops('172.30.0.193')).join() === '172.30.0.12', 'it goes to n2', lab)
  await until(async () => (await hops('fd00:172:30::c1')).join() === 'fd00:172:30::12', 'by IPv6, too', lab)
  for (let i = 0; i < 10; i++) {
    const answer = await lab.inside('outside', 'curl', '-sm60', 'http://172.30.0.193')
    t.match(answer, /node: n2[^]*peer: 172\.30\.0\.1:/, 'the endpoint sees the client itself')
  }

  writeFileSync(file, local('n2', 'n3'))
  await until(async () => (await hops('172.30.0.193')).join() === '172.30.0.12,172.30.0.13', 'it goes to both', lab)
  writeFileSync(file, local('n3'))
  await until(async () => (await hops('172.30.0.193')).join() === '172.30.0.13', 'it goes to n3', lab)
  await until(
    async () => (await lab.inside('outside', 'curl', '-sm60', 'http://172.30.0.193')).includes('node: n3'),
    'n3 answers',
    lab,
  )
  writeFileSync(file, local('n3').replace('Policy: Local', 'Policy: Cluster'))
  await until(async () => !(await routes()).includes('172.30.0.193 '), 'all nodes again', lab)
})

for (const who of everybody) {
  t.test(`ports of this machine, as ${who}`, { skip: cannot(who) }, async (t) => {
    const lab = new LabRun(who, {})
    t.teardown(() => lab.remove())
    const publish = ['--publish', '0:web:80', '--publish', '[::1]:0:api', '--publish', '0:nobody']
    const up = await lab.cli('up', '--detach', ...publish)
    t.match(up, { kind: 'done', stdout: /On this machine:/ })
    const page = up.kind === 'done' ? up.stdout : ''
    const [web, api] = [/(http:\S+) {2}web:80/.exec(page)?.[1], /(http:\S+) {2}api:80/.exec(page)?.[1]]
    t.match(page, /127\.0\.0\.1:\d+ {2}leads nowhere yet/)
    await until(async () => /pod: web-/.test(await ask(web!)), 'web answers', lab)
    await until(async () => /pod: api-/.test(await ask(api!)), 'api answers', lab)
    t.match(await lab.cli('delete', 'svc', 'web'), { kind: 'done' })
    await until(async () => (await ask(web!)) === '', 'without the Service it leads nowhere', lab)
    t.match(await lab.cli('down'), { kind: 'done' })
    t.equal(await ask(web!), '', 'closed')
  })
}

t.test('a port that is taken', async (t) => {
  const lab = new LabRun(everybody[0]!)
  t.teardown(() => lab.remove())
  t.match(await lab.cli('up', '--detach', '--publish', '192.0.2.1:80:web'), {
    kind: 'failed',
    stderr: /cannot listen on tcp:192\.0\.2\.1:80: /,
  })
  t.match(await lab.cli('up', '--publish', 'web'), { kind: 'failed', code: 2, stderr: /write PORT:SERVICE/ })
})

/** The answer's body; '' when there is none. */
function ask(url: string): Promise<string> {
  return new Promise((resolve) => {
    const asked = request(url, { agent: false, timeout: 5000 }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve(text))
    })
    asked.on('timeout', () => asked.destroy())
    asked.on('error', () => resolve(''))
    asked.end()
  })
}

function local(...nodes: readonly string[]): string {
  const pods = nodes.map(
    (node) => `---
apiVersion: v1
kind: Pod
metadata: { name: app-${node}, labels: { app: app } }
spec:
  nodeName: ${node}
  containers: [{ name: main, image: app, ports: [{ containerPort: 8080 }] }]
`,
  )
  return `
apiVersion: v1
kind: Service
metadata: { name: app }
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  ipFamilyPolicy: PreferDualStack
  selector: { app: app }
  ports: [{ port: 80, targetPort: 8080 }]
${pods.join('')}`
}
