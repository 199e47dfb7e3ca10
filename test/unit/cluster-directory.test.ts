import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { describeProblem, type Problem } from '../../src/cluster/manifest.ts'
import { directorySource } from '../../src/cluster/source/directory.ts'
import { watchManifests } from '../../src/cluster/source/files.ts'
import { anyObject, type Reference } from '../../src/cluster/source/holdings.ts'
import { createInlets, createTables } from '../../src/cluster/tables.ts'
import { until } from '../contract/source.ts'

const service = (name: string, port = 80) =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {ports: [{port: ${port}}]}\n`

/** A folder with some files, and a source that follows it (or the paths below it that are given). */
async function follow(t: Test, files: Record<string, string>, { paths = [''], watchFolder, doubtMs }: Options = {}) {
  const folder = fs.mkdtempSync(join(tmpdir(), 'clu-directory-'))
  const write = (name: string, content: string) => fs.writeFileSync(join(folder, name), content)
  for (const [name, content] of Object.entries(files)) write(name, content)
  const tables = createTables()
  const { services, nodes } = createInlets(tables)
  const stopping = new AbortController()
  const said: Problem[] = []
  const source = directorySource({
    paths: paths.map((path) => join(folder, path)),
    inlets: [services, nodes],
    rejections: tables.rejections,
    signal: stopping.signal,
    onProblem: (problem) => said.push(problem),
    ...(watchFolder && { watchFolder }),
    ...(doubtMs !== undefined && { doubtMs }),
  })
  t.teardown(async () => {
    stopping.abort()
    await source.done
    fs.rmSync(folder, { recursive: true, force: true })
  })
  await until(t, 'the first list', () => tables.services.synced)
  const port = (name: string) => tables.services.get(`default/${name}`)?.ports[0]?.port
  const problems = () => source.problems().map((it) => describeProblem(it).replaceAll(`${folder}/`, ''))
  return { folder, write, tables, source, said, port, problems, at: (name: string) => join(folder, name) }
}

const nameOf = (object: unknown) => String((object as Reference).metadata.name)

interface Options {
  readonly paths?: readonly string[]
  readonly watchFolder?: typeof fs.watch
  readonly doubtMs?: number
}

t.test('a broken file is reported with its line, and stays as it last was', async (t) => {
  const it = await follow(t, { 'a.yaml': `${service('a')}---\n${service('b')}`, 'c.yaml': service('c') })
  it.write('a.yaml', `${service('a', 81)}---\nkind: [\n`)
  await until(t, 'it is reported', () => it.problems().length === 1)
  t.match(it.problems(), [/^a\.yaml:\d: is not valid YAML: /])
  t.equal(it.said.length, 1, 'once')
  t.match([...it.tables.rejections.entries()][0]?.[1], {
    object: `File ${it.at('a.yaml')}`,
    problem: /is not valid YAML/,
  })
  it.write('c.yaml', service('c', 83))
  await until(t, 'another file still changes', () => it.port('c') === 83)
  t.equal(it.port('a'), 80)
  t.equal(it.port('b'), 80)
  it.write('a.yaml', service('a', 82))
  await until(t, 'it is mended', () => it.port('a') === 82 && it.port('b') === undefined)
  t.same(it.problems(), [])
  t.equal(it.tables.rejections.size, 0)
})

t.test('a file that was broken from the start harms no other', async (t) => {
  const it = await follow(t, { 'a.yaml': 'kind: [', 'b.yaml': service('b') })
  t.equal(it.port('b'), 80)
  t.equal(it.problems().length, 1)
  it.write('a.yaml', service('a'))
  await until(t, 'mended', () => it.port('a') === 80)
})

t.test('a save is told, also when it changes nothing, and with what it changes only', async (t) => {
  const folder = fs.mkdtempSync(join(tmpdir(), 'clu-directory-'))
  const file = join(folder, 'a.yaml')
  const stopping = new AbortController()
  const told: string[][] = []
  fs.writeFileSync(file, `${service('a')}---\n${service('b')}---\n${service('c')}`)
  const { done } = watchManifests({
    paths: [folder],
    identify: anyObject,
    signal: stopping.signal,
    onProblem: (problem) => t.fail(describeProblem(problem)),
    onChange: ({ put, drop }) =>
      told.push([...put.map(({ object, line }) => `${nameOf(object)}:${line}`), ...drop.map((it) => `-${nameOf(it)}`)]),
  })
  t.teardown(async () => {
    stopping.abort()
    await done
    fs.rmSync(folder, { recursive: true, force: true })
  })
  await until(t, 'all', () => told.length === 1)
  fs.writeFileSync(file, `${service('a')}---\n${service('b', 81)}---\n${service('c')}`)
  await until(t, 'one changed', () => told.length === 2)
  // The lab brings back what was deleted by hand.
  fs.writeFileSync(file, `${service('a')}---\n${service('b', 81)}---\n${service('c')}`)
  await until(t, 'nothing', () => told.length === 3)
  fs.writeFileSync(file, `${service('a')}---\n${service('c')}`)
  await until(t, 'one went', () => told.length === 4)
  t.same(told, [['a:1', 'b:6', 'c:11'], ['b:6'], [], ['-b']])
})

t.test('a deleted file’s objects go; so does what was wrong with it', async (t) => {
  const it = await follow(t, { 'a.yaml': service('a'), 'b.yaml': service('b'), 'bad.yaml': 'kind: [' })
  fs.rmSync(it.at('a.yaml'))
  fs.rmSync(it.at('bad.yaml'))
  await until(t, 'gone', () => it.port('a') === undefined && it.problems().length === 0)
  t.equal(it.port('b'), 80)
})

t.test('a file that breaks, then goes', async (t) => {
  const it = await follow(t, { 'a.yaml': service('a'), 'b.yaml': service('b') })
  it.write('a.yaml', 'kind: [')
  await until(t, 'reported', () => it.problems().length === 1)
  fs.rmSync(it.at('a.yaml'))
  await until(t, 'gone', () => it.port('a') === undefined && it.problems().length === 0)
})

t.test('the ways editors save', async (t) => {
  const it = await follow(t, { 'a.yaml': service('a') })
  const seen: (number | undefined)[] = []
  it.tables.services.watch({ changed: (_, __, now) => void seen.push(now?.ports[0]?.port) })
  // Write beside, rename over.
  it.write('.a.yaml.tmp', service('a', 81))
  fs.renameSync(it.at('.a.yaml.tmp'), it.at('a.yaml'))
  await until(t, 'renamed over', () => it.port('a') === 81)
  // Keep the old one as a backup, write a new one.
  fs.renameSync(it.at('a.yaml'), it.at('a.yaml~'))
  it.write('a.yaml', service('a', 82))
  await until(t, 'written anew', () => it.port('a') === 82)
  // Truncate, then write.
  const file = fs.openSync(it.at('a.yaml'), 'w')
  fs.writeSync(file, service('a', 83))
  fs.closeSync(file)
  await until(t, 'written in place', () => it.port('a') === 83)
  t.same(seen, [81, 82, 83], 'it was never away in between')
})

t.test('a file that is gone or empty for a moment is being saved', async (t) => {
  const it = await follow(t, { 'a.yaml': service('a'), 'c.yaml': service('c') })
  const gone: string[] = []
  let together = false
  it.tables.services.watch({
    changed: (key, _, now) => {
      if (now === undefined) gone.push(key)
      // What is saved in the same moment is seen at once.
      if (key === 'default/b') together = gone.length === 0
    },
  })
  fs.rmSync(it.at('a.yaml'))
  fs.truncateSync(it.at('c.yaml'))
  it.write('b.yaml', service('b'))
  await until(t, 'another file', () => it.port('b') === 80)
  t.ok(together, 'what went in the same moment had not gone yet')
  await until(t, 'but goes when it stays away', () => gone.length === 2)
  t.same(it.problems(), [])
})

t.test('however often somebody looks meanwhile', async (t) => {
  const it = await follow(t, { 'a.yaml': service('a'), 'c.yaml': service('c') }, { doubtMs: 3_600_000 })
  const seen: (number | undefined)[] = []
  it.tables.services.watch({ changed: (key, _, now) => void (key === 'default/b' || seen.push(now?.ports[0]?.port)) })
  fs.rmSync(it.at('a.yaml'))
  fs.truncateSync(it.at('c.yaml'))
  for (const port of [81, 82, 83]) {
    it.write('b.yaml', service('b', port))
    await until(t, 'another file', () => it.port('b') === port)
  }
  it.write('a.yaml', service('a', 84))
  await until(t, 'it was being saved', () => it.port('a') === 84)
  it.write('c.yaml', service('c', 85))
  await until(t, 'the other one, too', () => it.port('c') === 85)
  t.same(seen, [84, 85], 'they were never away')
})

t.test('one object in two files: the first stands, and when it goes the other does', async (t) => {
  const it = await follow(t, { 'a.yaml': service('x', 1), 'b.yaml': `\n---\n${service('y')}---\n${service('x', 2)}` })
  t.equal(it.port('x'), 1)
  t.same(it.problems(), ['b.yaml:8: has Service x again, which a.yaml:1 has already; not used: remove one of the two'])
  it.write('b.yaml', service('x', 3))
  await until(t, 'still reported', () => it.problems()[0]?.startsWith('b.yaml:1') === true)
  t.equal(it.port('x'), 1)
  it.write('b.yaml', 'kind: [')
  await until(t, 'the second breaks', () => it.problems().some((problem) => problem.startsWith('b.yaml:1: is not')))
  it.write('a.yaml', service('z'))
  await until(t, 'the second stands, as it last was', () => it.port('x') === 3)
  it.write('a.yaml', service('x', 4))
  await until(t, 'the first again', () => it.port('x') === 4)
  fs.rmSync(it.at('a.yaml'))
  fs.rmSync(it.at('b.yaml'))
  await until(t, 'neither', () => it.port('x') === undefined)
  const once = await follow(t, { 'a.yaml': `${service('x', 1)}---\n${service('x', 2)}` })
  t.equal(once.port('x'), 1)
  t.match(once.problems(), [/^a\.yaml:6: has Service x again, which a\.yaml:1 has already/])
})

t.test('order is the order of the paths', async (t) => {
  const it = await follow(t, { 'a.yaml': service('x', 1), 'b.yaml': service('x', 2) }, { paths: ['b.yaml', 'a.yaml'] })
  t.equal(it.port('x'), 2)
})

t.test('folders that come, go and change places', async (t) => {
  const it = await follow(t, { 'a.yaml': service('a') })
  fs.mkdirSync(it.at('sub/deep'), { recursive: true })
  it.write('sub/deep/b.yaml', service('b', 1))
  await until(t, 'a new folder', () => it.port('b') === 1)
  it.write('sub/deep/b.yaml', service('b', 2))
  await until(t, 'is followed', () => it.port('b') === 2)
  fs.renameSync(it.at('sub'), it.at('moved'))
  fs.mkdirSync(it.at('sub/deep'), { recursive: true })
  it.write('sub/deep/c.yaml', service('c', 1))
  await until(t, 'another one of the same name', () => it.port('c') === 1)
  t.equal(it.port('b'), 2, 'what moved is still there')
  it.write('sub/deep/c.yaml', service('c', 2))
  it.write('moved/deep/b.yaml', service('b', 3))
  await until(t, 'both are followed', () => it.port('c') === 2 && it.port('b') === 3)
  fs.rmSync(it.at('moved'), { recursive: true })
  await until(t, 'a removed folder', () => it.port('b') === undefined)
})

t.test('a mounted ConfigMap: files are links, a link to their folder is swapped', async (t) => {
  const it = await follow(t, {}, { paths: ['mount'] })
  fs.mkdirSync(it.at('mount/..1'), { recursive: true })
  it.write('mount/..1/a.yaml', service('a', 1))
  fs.symlinkSync('..1', it.at('mount/..data'))
  fs.symlinkSync('..data/a.yaml', it.at('mount/a.yaml'))
  await until(t, 'read', () => it.port('a') === 1)
  fs.mkdirSync(it.at('mount/..2'))
  it.write('mount/..2/a.yaml', service('a', 2))
  fs.symlinkSync('..2', it.at('mount/..tmp'))
  fs.renameSync(it.at('mount/..tmp'), it.at('mount/..data'))
  await until(t, 'swapped', () => it.port('a') === 2)
})

t.test('paths that are not there yet', async (t) => {
  const it = await follow(t, {}, { paths: ['later.yaml', 'folder'] })
  t.same(it.problems(), ['later.yaml: does not exist: check the path', 'folder: does not exist: check the path'])
  it.write('later.yaml', service('a'))
  fs.mkdirSync(it.at('folder'))
  it.write('folder/b.yaml', service('b'))
  await until(t, 'found', () => it.port('a') === 80 && it.port('b') === 80 && it.problems().length === 0)
})

t.test('where the kernel watches no more, it polls and says so', async (t) => {
  const watchFolder = (() => {
    throw Object.assign(new Error('ENOSPC: System limit for number of file watchers reached'), { code: 'ENOSPC' })
  }) as unknown as typeof fs.watch
  const it = await follow(t, { 'a.yaml': service('a') }, { watchFolder })
  t.match(it.problems(), [/is not watched by the kernel \(ENOSPC.*raise fs\.inotify\.max_user_watches/])
  it.write('a.yaml', service('a', 81))
  await until(t, 'changed', () => it.port('a') === 81)
  t.equal(it.said.length, 1, 'said once')
})

t.test('kinds nobody wants, versions nobody knows', async (t) => {
  const it = await follow(t, {
    'a.yaml': `${service('a')}---
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: other}
---
apiVersion: v2
kind: Service
metadata: {name: newer}
`,
  })
  t.same(
    [...it.tables.services.entries()].map(([key]) => key),
    ['default/a'],
  )
  t.same(it.problems(), ['a.yaml:14: has a Service of version "v2"; left out: write it as v1'])
})

t.test('an object without a name is complained about, and others are not lost', async (t) => {
  const nameless = 'apiVersion: v1\nkind: Service\nmetadata: {}\n'
  const it = await follow(t, { 'a.yaml': `${service('a')}---\n${nameless}`, 'long.yaml': service('x'.repeat(5000)) })
  t.equal(it.port('a'), 80)
  t.equal(it.tables.rejections.size, 2)
  it.write('a.yaml', service('a', 81))
  fs.rmSync(it.at('long.yaml'))
  await until(t, 'mended', () => it.tables.rejections.size === 0 && it.port('a') === 81)
})

t.test('names that are none, twice', async (t) => {
  const nameless = 'apiVersion: v1\nkind: Service\nmetadata: {name: {toString: 0}}\n'
  const it = await follow(t, { 'a.yaml': `${service('a')}---\n${nameless}---\n${nameless}` })
  t.equal(it.port('a'), 80)
  t.match(it.problems(), [/^a\.yaml:10: has Service an object again, which a\.yaml:6 has already/])
})

t.test('a file that is too large', async (t) => {
  const it = await follow(t, { 'a.yaml': service('a'), 'b.yaml': service('b') })
  fs.truncateSync(it.at('a.yaml'), 64 * 1024 * 1024 + 1)
  await until(t, 'reported', () => it.problems().length === 1)
  t.match(it.problems(), [/^a\.yaml: has 67108865 bytes, more than 67108864; left out: split it/])
  t.equal(it.port('a'), 80, 'as it last was')
})
