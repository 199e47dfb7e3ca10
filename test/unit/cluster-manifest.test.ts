import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { describeProblem, parseManifest, readManifests, type Manifests } from '../../src/cluster/manifest.ts'

const parse = (text: string) => parseManifest(text, 'a.yaml')
const names = ({ objects }: Manifests) => objects.map(({ object }) => (object['metadata'] as { name: string }).name)
const item = (name: string) => `{apiVersion: v1, kind: Pod, metadata: {name: ${name}}}`

t.test('documents, and the lines they are on', async (t) => {
  const read = parse(`# a comment\n${item('a')}\n---\n---\n# more\n\n${item('b')}\n...\n---\n${item('c')}\n`)
  t.same(read.problems, [])
  t.same(names(read), ['a', 'b', 'c'])
  t.same(
    read.objects.map(({ line }) => line),
    [2, 7, 10],
  )
  for (const empty of ['', '\n', '# nothing\n', '---\n---\n', '\ufeff']) {
    t.match(parse(empty), { objects: [], problems: [], broken: false }, JSON.stringify(empty))
  }
})

t.test('lists are taken apart', async (t) => {
  t.same(names(parse(`{apiVersion: v1, kind: List, items: [${item('a')}, ${item('b')}]}`)), ['a', 'b'])
  const typed = parse('{apiVersion: v1, kind: ServiceList, items: [{metadata: {name: a}}]}')
  t.match(typed.objects, [{ object: { apiVersion: 'v1', kind: 'Service', metadata: { name: 'a' } } }])
  let nested = item('deep')
  for (let i = 0; i < 6; i++) nested = `{apiVersion: v1, kind: List, items: [${nested}]}`
  t.match(parse(nested), { objects: [], problems: [{ problem: /lists in lists/ }] })
})

t.test('JSON', async (t) => {
  t.same(names(parse(JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } }, null, '\t'))), ['a'])
  const broken = parse('{\n"kind": "Pod",\n"apiVersion" "v1"\n}')
  t.match(broken, { broken: true, problems: [{ line: 3 }] })
})

t.test('what YAML 1.1 does to texts does not happen; merge keys do', async (t) => {
  const { objects } = parse(
    `apiVersion: v1\nkind: A\nbase: &b {x: 1}\nuse: {<<: *b, y: 2}\nno: no\non: on\ntime: 2026-01-01`,
  )
  t.match(objects[0]?.object, { use: { x: 1, y: 2 }, no: 'no', on: 'on', time: '2026-01-01' })
})

t.test('a broken file names file and line', async (t) => {
  const bad: Record<string, number> = {
    'kind: A\nb: [1\nc: 2\n': 3,
    'kind: A\nmetadata: b: c\n': 2,
    'kind: A\n\tb: 1\n': 2,
    'kind: A\nkind: B\n': 2,
    'kind: A\nb: !!binary aGk=\n': 2,
    'kind: A\nb: *nowhere\n': 2,
  }
  for (const [text, line] of Object.entries(bad)) {
    const read = parse(text)
    t.match(read, { objects: [], broken: true, problems: [{ line }] }, JSON.stringify(text))
    t.match(describeProblem(read.problems[0]!), `a.yaml:${line}: is not valid YAML: `)
  }
})

t.test('documents that are no objects are said, the others stay', async (t) => {
  const read = parse(
    `${item('a')}\n---\njust text\n---\nkind: Pod\nmetadata: {}\n---\napiVersion: v1\n---\n[1]\n---\n${item('b')}`,
  )
  t.same(names(read), ['a', 'b'])
  t.equal(read.broken, false)
  t.same(read.problems.map(describeProblem), [
    'a.yaml:3: holds "just text", not an object: write a Kubernetes object',
    'a.yaml:5: holds an object without apiVersion; left out: add a line like "apiVersion: v1"',
    'a.yaml:8: holds an object without kind; left out: add a line like "kind: Service"',
    'a.yaml:10: holds a list of 1, not an object: write a Kubernetes object',
  ])
})

t.test('bombs', async (t) => {
  const laughs = ['a: &a0 [x, x, x, x, x, x, x, x, x, x]']
  for (let i = 1; i < 10; i++)
    laughs.push(
      `b${i}: &a${i} [${Array(10)
        .fill(`*a${i - 1}`)
        .join(', ')}]`,
    )
  t.match(parse(laughs.join('\n')), { broken: true, problems: [{ problem: /when its aliases are spelled out/ }] })
  t.match(parse('a: &a [*a]'), { broken: true, problems: [{ problem: /contains itself/ }] })
  t.match(parse('['.repeat(100_000)), { broken: true })
  t.match(parse(`{"a":${'['.repeat(100_000)}`), { broken: true })
  t.match(parse('\u0000'), { broken: true })
  t.match(parse('__proto__: {kind: A}\n'), { problems: [{ problem: /without kind/ }] })
})

t.test('files and folders', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'clu-manifest-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const write = (name: string, content: string | Buffer) => writeFileSync(join(folder, name), content)
  mkdirSync(join(folder, 'sub/deep'), { recursive: true })
  write('b.yaml', item('b'))
  write('a.yml', item('a'))
  write('sub/c.json', item('c'))
  write('sub/deep/d.YAML', item('d'))
  write('notes.txt', 'not: [a manifest')
  write('.hidden.yaml', item('hidden'))
  write('.b.yaml.swp', 'x')
  symlinkSync(folder, join(folder, 'sub/round'))
  symlinkSync(join(folder, 'gone'), join(folder, 'dangling.yaml'))
  const all = await readManifests([folder])
  t.same(names(all), ['a', 'b', 'c', 'd'], 'by name, folders too, once each')
  t.same(all.problems, [])
  const several = await readManifests([join(folder, 'sub'), join(folder, 'b.yaml'), folder])
  t.same(names(several), ['c', 'd', 'a', 'b'], 'as given')
  t.equal(several.objects[3]?.file, join(folder, 'sub/round/b.yaml'), 'where it was found first')

  write('latin.yaml', Buffer.from([0x61, 0xe9]))
  write('wrong.yaml', 'a: [')
  const bad = await readManifests([folder, join(folder, 'missing.yaml')])
  t.same(names(bad), ['a', 'b', 'c', 'd'])
  t.ok(bad.broken)
  t.match(bad.problems, [
    { file: join(folder, 'missing.yaml'), problem: 'does not exist' },
    { file: join(folder, 'latin.yaml'), problem: 'is not UTF-8 text' },
    { file: join(folder, 'wrong.yaml'), line: 1 },
  ])
})
