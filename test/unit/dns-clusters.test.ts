/** Which `kubernetes` of a Corefile are read together, and how each cluster is reached. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { findWays } from '../../src/cli/dns-clusters.ts'
import { parseSelectorText, selectorText } from '../../src/cluster/selector.ts'
import { directorySource } from '../../src/cluster/source/directory.ts'
import { createInlets, createTables } from '../../src/cluster/tables.ts'
import { Gate } from '../../src/core/gate.ts'
import { Graph } from '../../src/core/graph.ts'
import { InputTable, type Readable } from '../../src/core/table.ts'
import { clustersOf, selectorsOf } from '../../src/dns/clusters.ts'
import { until } from '../contract/source.ts'
import { configuration, wrong } from './dns-corefile-world.ts'

const sets = (...bodies: readonly string[]) =>
  configuration(bodies.map((body, i) => `z${i}.example {\nkubernetes {\n${body}\n}\n}`).join('\n')).kubernetes
const shown = (...bodies: readonly string[]) =>
  clustersOf(sets(...bodies)).map(({ title, instances }) => [title, instances.map(({ zones }) => zones.join())])

t.test('the same way and the same labels are one', async (t) => {
  t.same(shown('pods insecure', 'pods verified', 'ttl 7'), [['', ['z0.example.', 'z1.example.', 'z2.example.']]])
  t.same(shown('', 'labels app=web', 'labels app = web', 'labels app=db'), [
    ['', ['z0.example.']],
    ['labels app=web', ['z1.example.', 'z2.example.']],
    ['labels app=db', ['z3.example.']],
  ])
  t.same(
    shown('endpoint https://a:6443', 'endpoint https://a:6443/\ntls /c /k /ca', 'kubeconfig /k', 'kubeconfig /k east'),
    [
      ['endpoint https://a:6443', ['z0.example.']],
      ['endpoint https://a:6443 tls /c /k /ca', ['z1.example.']],
      ['kubeconfig /k', ['z2.example.']],
      ['kubeconfig /k east', ['z3.example.']],
    ],
  )
  t.same(
    clustersOf([]).map(({ title, instances }) => [title, instances]),
    [['', []]],
    'Events of a Corefile without kubernetes go there',
  )
})

t.test('labels are of the kinds that CoreDNS applies them to', async (t) => {
  t.same(Object.keys(selectorsOf(sets('labels app=web')[0]!.labels)), ['Service', 'EndpointSlice', 'Pod'])
  t.same(selectorsOf(null), {})
  const text = 'a=b,env in (qa,staging),tier notin (db),canary,!old,empty='
  t.equal(selectorText(parseSelectorText(text) as never), text)
})

t.test('how each is reached', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'dns-clusters-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const kubeconfig = join(folder, 'config')
  const cluster = (name: string) => ({ name, cluster: { server: `https://${name}:6443` } })
  const context = (name: string) => ({ name, context: { cluster: name, user: name } })
  const names = ['east', 'west']
  const config = { clusters: names.map(cluster), contexts: names.map(context), 'current-context': 'west' }
  writeFileSync(kubeconfig, JSON.stringify(config))
  const options = { apiServer: 'unix:///own', stateDir: '' }
  const ways = await findWays(
    sets(
      '',
      'endpoint https://a:6443/prefix/\ntls /cert /key /ca',
      'endpoint a:8080',
      `kubeconfig ${kubeconfig}`,
      `kubeconfig ${kubeconfig} east`,
      `endpoint https://a\nkubeconfig ${kubeconfig} east\nttl 9`,
    ),
    options,
  )
  const files = { ca: { file: '/ca' }, cert: { file: '/cert' }, key: { file: '/key' } }
  t.match(
    ways.map(({ way }) => way),
    [
      { settings: { server: 'unix:///own' } },
      { settings: { server: 'https://a:6443/prefix', tls: files, auth: { kind: 'none' } } },
      { settings: { server: 'http://a:8080', tls: { ca: null, cert: null, key: null } } },
      { settings: { server: 'https://west:6443' } },
      { settings: { server: 'https://east:6443' } },
    ],
  )
  t.equal(ways.length, 5, 'a kubeconfig goes before an endpoint')
  await t.rejects(findWays(sets(`kubeconfig ${folder}/none`), options), { message: /ENOENT.*mend .*none/ })
  await t.rejects(findWays(sets(`kubeconfig ${kubeconfig} south`), options), { message: /no context south.*east/ })
})

t.test('what has no effect is said; what is no address is refused', async (t) => {
  const warned = (body: string) => configuration(`a {\nkubernetes {\n${body}\n}\n}`).warnings.map((it) => it.problem)
  t.same(warned('tls /c /k /ca'), ['tls has no effect without endpoint'])
  t.same(warned('endpoint https://a\nkubeconfig /k'), ['endpoint has no effect beside kubeconfig'])
  t.same(warned('endpoint https://a\ntls /c /k /ca'), [])
  for (const url of ['ftp://a', 'https://', 'a:b', 'https://a b'])
    t.match(wrong(`a {\nkubernetes {\nendpoint "${url}"\n}\n}`), [/is no URL/], url)
})

t.test('files have only the objects with such labels', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'dns-clusters-'))
  const write = (app: string) =>
    writeFileSync(
      join(folder, 'a.yaml'),
      ['web', app, '']
        .map((label, i) => {
          const labels = label === '' ? '' : `, labels: {app: ${label}}`
          return `apiVersion: v1\nkind: Service\nmetadata: {name: s${i}${labels}}\nspec: {ports: [{port: 80}]}\n`
        })
        .join('---\n'),
    )
  write('db')
  const tables = createTables()
  const stopping = new AbortController()
  const { done } = directorySource({
    paths: [folder],
    inlets: [createInlets(tables).services],
    selectors: selectorsOf(parseSelectorText('app=web') as never),
    signal: stopping.signal,
    onProblem: () => {},
  })
  t.teardown(async () => {
    stopping.abort()
    await done
    rmSync(folder, { recursive: true })
  })
  const names = () => [...tables.services.entries()].map(([key]) => key).join()
  await until(t, 'the first list', () => tables.services.synced)
  t.equal(names(), 'default/s0')
  write('web')
  await until(t, 'another has the label now', () => names() === 'default/s0,default/s1')
  write('db')
  await until(t, 'it has it no more', () => names() === 'default/s0')
})

t.test(
  'a gate shows nothing of a table that is not whole yet, and does not hold up others once it is passed',
  async (t) => {
    const graph = new Graph()
    const table = graph.input(new InputTable<string>('inner'))
    const gate: Gate<string> = new Gate(graph, table)
    const heard: string[] = []
    gate.watch({ changed: (key, was, now) => heard.push(`${key} ${was} ${now}`) })
    const state = (it: Readable<string>) => [it.synced, it.size, it.get('a'), it.has('a'), [...it.entries()].length]
    table.put('a', 'one')
    graph.settle()
    t.same(state(gate), [false, 0, undefined, false, 0])
    gate.pass()
    t.same(state(gate), [true, 0, undefined, false, 0])
    t.same(heard, [])
    let dirty = false
    graph.onDirty(() => (dirty = true))
    graph.settle()
    table.markSynced()
    t.equal(dirty, true)
    const before = gate.number
    graph.settle()
    t.same(state(gate), [true, 1, 'one', true, 1])
    t.same(heard, ['a undefined one'])
    t.ok(gate.number > before)
    table.put('a', 'two')
    table.drop('a')
    t.same(heard.slice(1), ['a one two', 'a two undefined'])
  },
)
