/** Where the API server is: kubeconfigs, pods, addresses. */
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { findSettings, type Wanted } from '../../src/cluster/source/kube/settings.ts'

const folder = await mkdtemp(join(tmpdir(), 'kube-settings-'))
t.teardown(() => rm(folder, { recursive: true }))

t.test('a kubeconfig: files beside it, data in it, and what wins', async (t) => {
  const path = await write('plain', {
    clusters: { c: { server: 'https://192.0.2.1:6443/', 'certificate-authority': 'ca.crt', 'tls-server-name': 'api' } },
    users: {
      u: { 'client-certificate-data': base64('CERT'), 'client-certificate': 'no', 'client-key': '/k', token: 'T' },
    },
    contexts: { x: { cluster: 'c', user: 'u' } },
    current: 'x',
  })
  t.match(await find({ kubeconfig: path }), {
    settings: {
      server: 'https://192.0.2.1:6443',
      tls: {
        ca: { file: join(folder, 'ca.crt') },
        cert: { data: 'CERT' },
        key: { file: '/k' },
        serverName: 'api',
        insecure: false,
      },
      auth: { kind: 'token', token: 'T' },
    },
  })
})

t.test('each way to be let in', async (t) => {
  const auth = async (user: object) => {
    const path = await write('auth', {
      clusters: { c: { server: 'https://a' } },
      users: { u: user },
      contexts: { x: { cluster: 'c', user: 'u' } },
      current: 'x',
    })
    const found = await find({ kubeconfig: path })
    return found.kind === 'found' ? found.settings.auth : found
  }
  t.same(await auth({}), { kind: 'none' })
  t.same(await auth({ token: 'T', tokenFile: 't' }), { kind: 'token-file', path: join(folder, 't') })
  t.same(await auth({ username: 'a', password: 'b' }), { kind: 'basic', user: 'a', password: 'b' })
  t.same(await auth({ token: 'T', exec: { command: 'x' } }), { kind: 'token', token: 'T' })
  t.match(await auth({ exec: { command: './x', args: ['y'] } }), {
    kind: 'plugin',
    config: { users: [{ user: { exec: { command: join(folder, 'x'), args: ['y'] } } }] },
  })
  t.match(await auth({ exec: { command: 'x' } }), { config: { users: [{ user: { exec: { command: 'x' } } }] } })
  t.match(await auth({ as: 'somebody' }), { kind: 'problem', message: /impersonation/ })
})

t.test('what is wrong with a kubeconfig is said', async (t) => {
  const wrong = async (text: string, pattern: RegExp, wanted: Wanted = {}) => {
    await writeFile(join(folder, 'wrong'), text)
    const found = await find({ kubeconfig: join(folder, 'wrong'), ...wanted })
    t.match(found, { kind: 'problem', message: pattern, remedy: /./ }, String(pattern))
  }
  await wrong('{', /wrong|end of/)
  await wrong('', /empty/)
  await wrong('{}', /no current-context/)
  await wrong('current-context: x', /no context x/)
  await wrong('contexts: [{name: x, context: {cluster: c}}]', /names a cluster/, { context: 'x' })
  const rest = 'contexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x\n'
  await wrong(`${rest}clusters: [{name: c, cluster: {server: "ftp://x"}}]`, /server is "ftp:/)
  await wrong(`${rest}clusters: [{name: c, cluster: {server: "https://x", proxy-url: "http://p"}}]`, /proxy-url/)
  await wrong(`${rest}clusters: 7\nusers: [1, null]`, /names a cluster/)
  t.match(await find({ kubeconfig: join(folder, 'absent') }), { kind: 'problem', message: /absent/ })
})

t.test('several files: the first that names a thing wins', async (t) => {
  const one = await write('one', { users: { u: { token: 'first' } }, contexts: {}, clusters: {}, current: 'x' })
  const two = await write('two', {
    clusters: { c: { server: 'https://two' } },
    users: { u: { token: 'second' } },
    contexts: { x: { cluster: 'c', user: 'u' } },
    current: 'y',
  })
  const found = await find({ env: { KUBECONFIG: `${one}:${join(folder, 'absent')}:${two}` } })
  t.match(found, { settings: { server: 'https://two', auth: { token: 'first' } } })
})

t.test('the order: asked for, KUBECONFIG, service account, home', async (t) => {
  const config = (name: string) =>
    write(name, {
      clusters: { c: { server: `https://${name}` } },
      users: {},
      contexts: { x: { cluster: 'c', user: 'u' } },
      current: 'x',
    })
  await mkdir(join(folder, 'home', '.kube'), { recursive: true })
  await mkdir(join(folder, 'account'))
  await writeFile(join(folder, 'account', 'token'), 'T')
  await config('home/.kube/config')
  const wanted: { -readonly [name in keyof Wanted]: Wanted[name] } = {
    ...{ home: join(folder, 'home'), accountFolder: join(folder, 'account'), kubeconfig: await config('asked') },
    env: { KUBECONFIG: await config('env'), KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' },
  }
  const server = async () => {
    const found = await find(wanted)
    return found.kind === 'found' ? found.settings.server : found.message
  }
  t.equal(await server(), 'https://asked')
  delete wanted.kubeconfig
  t.equal(await server(), 'https://env')
  wanted.env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' }
  t.equal(await server(), 'https://[fd00::1]:6443')
  wanted.env = {}
  t.equal(await server(), 'https://home/.kube/config')
  wanted.home = '/nonexistent'
  t.match(await server(), /no API server/)
  wanted.server = '192.0.2.7:6443'
  t.equal(await server(), 'https://192.0.2.7:6443', 'with the service account')
  t.match(await find({ ...wanted, tlsServerName: 'kubernetes' }), { settings: { tls: { serverName: 'kubernetes' } } })
  wanted.server = 'unix:///run/api.sock'
  t.equal(await server(), 'unix:///run/api.sock', 'with nothing')
})

const find = (wanted: Wanted) =>
  findSettings({ env: {}, home: '/nonexistent', accountFolder: '/nonexistent', ...wanted })

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

interface Config {
  readonly clusters: Record<string, object>
  readonly users: Record<string, object>
  readonly contexts: Record<string, object>
  readonly current: string
}

async function write(name: string, config: Config): Promise<string> {
  const path = join(folder, name)
  const named = (section: Record<string, object>, singular: string) =>
    Object.entries(section).map(([name, value]) => ({ name, [singular]: value }))
  const text = {
    clusters: named(config.clusters, 'cluster'),
    users: named(config.users, 'user'),
    contexts: named(config.contexts, 'context'),
    'current-context': config.current,
  }
  await writeFile(path, JSON.stringify(text))
  return path
}
