/** The commands as people run them: processes of their own, against the lab's API on a Unix socket. */
import { spawn } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { createApiServer } from '../../src/lab/api/server.ts'
import { Store } from '../../src/lab/api/store.ts'
import { startTime, writeRecord } from '../../src/lab/place.ts'
import { statusSocketOf } from '../../src/cli/status.ts'
import { serve, json } from '../../src/status/server.ts'

t.setTimeout(570_000) // each command is a process of its own

const runtime = mkdtempSync(join(tmpdir(), 'hou-cli-'))
const place = join(runtime, 'fairlead')
mkdirSync(join(place, 'logs', 'pods'), { recursive: true })
mkdirSync(join(place, 'nodes'))
t.teardown(() => rmSync(runtime, { recursive: true }))

function start(args: readonly string[]) {
  const env = { ...process.env, XDG_RUNTIME_DIR: runtime, TERM: 'dumb' }
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', 'src/main.ts', ...args], { env })
}

/** Runs `fairlead ARGS` to its end. */
async function fairlead(
  args: readonly string[],
  stdin = '',
): Promise<{ code: number | null; out: string; err: string }> {
  const child = start(args)
  child.stdin.end(stdin)
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await ended, out, err }
}

t.test('no cluster runs', async (t) => {
  const { code, err } = await fairlead(['get', 'pods'])
  t.equal(code, 1)
  t.match(err, 'no cluster is running here: start one with: bin/fairlead up')
})

t.test('called wrongly: exit code 2, and a way on', async (t) => {
  const cases: [string[], RegExp][] = [
    [['gte', 'pods'], /unknown command 'gte'[\s\S]*Did you mean get\?/],
    [['get', 'pods', '--frob'], /unknown option '--frob'/],
    [['get', 'pods', '-o', 'xml'], /expected wide, json, yaml or name/],
    [['scale', 'deploy/web', '--replicas', 'many'], /expected a whole number/],
    [['delete'], /name what to delete/],
    [['delete', '-f', 'x.yaml', '--grace-period', 'soon'], /expected whole seconds/],
    [['apply'], /required option '-f, --filename <path>'/],
    [['get', 'pods', '--server', 'https://example'], /expected unix:/],
  ]
  await Promise.all(
    cases.map(async ([args, message]) => {
      const { code, err } = await fairlead(args)
      t.equal(code, 2, args.join(' '))
      t.match(err, message, args.join(' '))
    }),
  )
})

t.test('help and version', async (t) => {
  const help = await fairlead(['--help'])
  t.equal(help.code, 0)
  for (const word of ['up', 'get', 'apply', 'status', 'Examples:']) t.match(help.out, word)
  const one = await fairlead(['get', '--help'])
  t.match(one.out, '--all-namespaces')
  t.match((await fairlead(['help', 'scale'])).out, '--replicas')
  t.match((await fairlead(['--version'])).out, /^\d+\.\d+\.\d+\n$/)
  t.equal((await fairlead(['help', 'frob'])).code, 2)
})

t.test('against a cluster', async (t) => {
  const server = await cluster()
  t.teardown(() => close(server))
  t.test('apply, get, scale, delete', workload)
  t.test('what cannot be taken', refusals)
  t.test('describe', describing)
  t.test('delete by label', byLabel)
  t.test('watch', watching)
  t.test('logs', logs)
  t.test('status', status)
})

async function workload(t: Test): Promise<void> {
  const file = join(runtime, 'shop.yaml')
  writeFileSync(file, `${DEPLOYMENT}---\n${SERVICE}`)
  const created = await fairlead(['apply', '-f', file])
  t.equal(created.out, 'deployment.apps/web created\nservice/web created\n')
  t.equal((await fairlead(['apply', '-f', file])).out, 'deployment.apps/web unchanged\nservice/web unchanged\n')
  const changed = await fairlead(['apply', '-f', '-'], DEPLOYMENT.replace('replicas: 1', 'replicas: 2'))
  t.equal(changed.out, 'deployment.apps/web configured\n')
  t.equal((await fairlead(['scale', 'deploy/web', '--replicas', '5'])).out, 'deployment.apps/web scaled from 2 to 5\n')

  const table = await fairlead(['get', 'svc'])
  t.match(table.out, /^NAME +TYPE +CLUSTER-IP .*\nweb +ClusterIP .*80\/TCP .*\n$/)
  t.match((await fairlead(['get', 'services', '-A'])).out, /^NAMESPACE +NAME.*\ndefault +web /)
  t.match((await fairlead(['get', 'deploy', '-o', 'wide'])).out, /CONTAINERS +IMAGES/)
  t.equal((await fairlead(['get', 'deploy,svc', '-o', 'name'])).out, 'deployment.apps/web\nservice/web\n')
  const parsed = JSON.parse((await fairlead(['get', 'Deployment/web', '-o', 'json'])).out)
  t.match(parsed, { apiVersion: 'apps/v1', kind: 'Deployment', spec: { replicas: 5 } })
  t.match((await fairlead(['get', 'service', 'web', '-o', 'yaml'])).out, /^apiVersion: v1\nkind: Service\n/)
  t.match((await fairlead(['get', 'svc', '-l', 'app=other'])).err, 'nothing found in namespace default')

  const gone = await fairlead(['delete', '-f', file])
  t.equal(gone.out, 'service/web deleted\ndeployment.apps/web deleted\n', 'last first')
  const missing = await fairlead(['delete', 'svc', 'web'])
  t.equal(missing.code, 1)
  t.match(missing.err, /service\/web: .*not found/)
}

async function describing(t: Test): Promise<void> {
  const event = (name: string, uid: string, message: string): string =>
    `---\napiVersion: v1\nkind: Event\nmetadata: { name: ${name} }\ninvolvedObject: { kind: Service, name: web, namespace: default, uid: '${uid}' }\ntype: Warning\nreason: Rejected\ncount: 3\nmessage: '${message}'\nsource: { component: fairlead-agent }\n`
  const secret = 'apiVersion: v1\nkind: Secret\nmetadata: { name: key }\ndata: { token: c2VjcmV0 }\n'
  const long = `spec.externalIPs: ${'x'.repeat(300)}: use another`
  const service = SERVICE.replace('name: web }', 'name: web, labels: { app: web } }')
  await fairlead(
    ['apply', '-f', '-'],
    `${service}---\n${secret}${event('one', '', long)}${event('two', 'b', 'of another')}`,
  )
  const { code, out } = await fairlead(['describe', 'svc', 'web'])
  t.equal(code, 0)
  t.match(out, /^Name: +web\nNamespace: +default\nKind: +Service \(v1\)\nAge: +\d+s\nLabels: +app=web\n/)
  t.match(out, /\nSpec:\n {2}type: ClusterIP\n/)
  t.match(out, new RegExp(`\\nEvents:\\n +TYPE.*\\n +Warning +Rejected +\\d+s \\(x3\\) +fairlead-agent +${long}\\n$`))
  t.match((await fairlead(['describe', 'secret/key'])).out, /token: 6 bytes\n[^]*Events: <none>\n$/)
  const every = await fairlead(['describe', 'services', '-l', 'app=web'])
  t.match(every.out, /^Name: +web\n/)
  t.equal(every.out.match(/^Name:/gm)?.length, 1)
  t.notMatch(out, 'last-applied')
  t.match((await fairlead(['get', 'ep'])).err, 'Services have endpointslices: fairlead get eps')
  t.equal((await fairlead(['get', 'eps', '-A'])).code, 0)
  t.match((await fairlead(['describe', 'svc', '-l', 'app=no'])).err, 'no services in namespace default')
  t.match((await fairlead(['describe', 'svc', 'nowhere'])).err, /nowhere.*not found/)
}

async function byLabel(t: Test): Promise<void> {
  const map = (name: string, app: string): string =>
    `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name}, labels: { app: ${app} } }\n`
  await fairlead(['apply', '-f', '-'], [map('a', 'web'), map('b', 'web'), map('c', 'api')].join('---\n'))
  t.equal((await fairlead(['delete', 'cm'])).code, 2, 'all of them: not by forgetting a word')
  t.equal((await fairlead(['delete', 'cm', 'c', '-l', 'app=web'])).code, 2)
  t.equal((await fairlead(['delete', 'cm', '-l', 'app=web'])).out, 'configmap/a deleted\nconfigmap/b deleted\n')
  t.match((await fairlead(['delete', 'cm', '-l', 'app=web'])).err, 'nothing found in namespace default')
  t.equal((await fairlead(['get', 'cm', '-o', 'name'])).out, 'configmap/c\n')
  await fairlead(['delete', 'cm', 'c'])
}

async function refusals(t: Test): Promise<void> {
  const broken = join(runtime, 'broken.yaml')
  writeFileSync(broken, `${SERVICE}---\nkind: [\n`)
  const result = await fairlead(['apply', '-f', broken])
  t.equal(result.code, 1)
  t.match(result.err, /nothing was changed:\n.*broken\.yaml:\d+: /)
  t.match((await fairlead(['get', 'svc'])).err, 'nothing found', 'nothing of the broken file was taken')
  const nameless = await fairlead(['apply', '-f', '-'], 'apiVersion: v1\nkind: Service\nmetadata: {}\n---\n' + SERVICE)
  t.equal(nameless.code, 1)
  t.match(nameless.err, '(standard input):1: Service has no metadata.name')
  t.match(nameless.err, '1 of 2 objects were not taken')
  t.match((await fairlead(['get', 'gizmos'])).err, 'the cluster has no resource "gizmos"')
  t.match((await fairlead(['get', 'svc', 'nowhere'])).err, /nowhere.*not found/)
}

async function watching(t: Test): Promise<void> {
  const child = start(['get', 'cm', '-w'])
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
  const seen = (what: RegExp): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!what.test(out)) return
        child.stdout.off('data', look)
        resolve()
      }
      child.stdout.on('data', look)
      look()
    })
  await seen(/NAME/)
  await fairlead(['apply', '-f', '-'], 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: colours }\n')
  await seen(/\ncolours .*\n/)
  await fairlead(['delete', 'cm', 'colours'])
  await seen(/colours +\(deleted\)\n/)
  child.kill('SIGINT')
  t.equal(await new Promise((resolve) => child.once('close', resolve)), 0, 'Ctrl-C is how it ends')
}

async function logs(t: Test): Promise<void> {
  writeFileSync(join(place, 'logs', 'n1.log.old'), 'one\n')
  appendFileSync(join(place, 'logs', 'n1.log'), 'two\nthree\n')
  writeFileSync(join(place, 'logs', 'pods', 'default_web-0_main.log'), 'hello\n')
  t.equal((await fairlead(['logs', 'node/n1'])).out, 'one\ntwo\nthree\n')
  t.equal((await fairlead(['logs', 'node/n1', '--tail', '1'])).out, 'three\n')
  t.match((await fairlead(['logs', 'node/n9'])).err, 'no node n9; there are n1, n2')
  t.equal((await fairlead(['logs', 'web-0'])).out, 'hello\n')
}

async function status(t: Test): Promise<void> {
  const report = {
    node: 'n1',
    version: '0.1.0',
    startedAt: new Date().toISOString(),
    healthy: true,
    sources: [{ kind: 'Service', state: 'watching', since: new Date().toISOString(), objects: 3, error: null }],
    targets: [],
    faults: { count: 0, first: [] },
    rejections: { count: 0, first: [] },
    kernel: [{ name: 'sctp', present: false, remedy: 'SCTP services do not work' }],
    connections: { entries: 12, max: 262_144, drops: 0 },
    memoryBytes: 50e6,
  }
  const agent = await serve({ path: statusSocketOf(place, 'n1') }, { '/statusz': () => json(200, report) })
  if (agent.kind !== 'listening') return void t.fail('cannot listen')
  t.teardown(() => agent.close())
  const all = await fairlead(['status'])
  t.equal(all.code, 1, 'n2 has no agent')
  t.match(all.out, /n1 +yes +1\/1 kinds +3 +0 +12\/262144 /)
  t.match(all.out, 'n2: its agent does not answer: see fairlead logs node/n2')
  t.match(all.out, 'sctp (all nodes): SCTP services do not work')
  const one = await fairlead(['status', 'n1', '-o', 'json'])
  t.equal(one.code, 0)
  t.match(JSON.parse(one.out), [report])
}

async function cluster(): Promise<Server> {
  const apiSocket = join(place, 'api.sock')
  const server = createApiServer(new Store())
  await new Promise<void>((resolve) => void server.listen(apiSocket, resolve))
  writeRecord(place, {
    ...{ version: 1, outerPid: process.pid, initPid: process.pid, initStarted: startTime(process.pid)! },
    ...{ userNamespace: false, apiSocket, controlSocket: join(place, 'lab.sock'), nodes: ['n1', 'n2'] },
  })
  return server
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

const SERVICE = `apiVersion: v1
kind: Service
metadata: { name: web }
spec: { type: ClusterIP, selector: { app: web }, ports: [{ port: 80, protocol: TCP }] }
`
const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 1
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: main, image: web }] }
`
