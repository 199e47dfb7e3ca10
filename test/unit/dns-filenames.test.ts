/** Files of names that change while they are followed: real ones, on disk. */
import { mkdtempSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseCorefile } from '../../src/dns/corefile/corefile.ts'
import { disk } from '../../src/dns/corefile/disk.ts'
import { sentence } from '../../src/dns/corefile/problem.ts'
import { FileNames } from '../../src/dns/filenames.ts'
import { until } from '../contract/source.ts'

/** A folder with files, and what a Corefile makes of them: `FOLDER` in it is the folder. */
function follow(t: Test, files: Readonly<Record<string, string>>, lines: string) {
  const folder = mkdtempSync(join(tmpdir(), 'dns-filenames-'))
  const at = (name: string): string => join(folder, name)
  const write = (name: string, text: string): void => {
    // As a ConfigMap's volume does it: nobody ever sees half of a file.
    writeFileSync(at(`${name}.new`), text)
    renameSync(at(`${name}.new`), at(name))
  }
  for (const [name, text] of Object.entries(files)) write(name, text)
  const text = `example.org {\n${lines.replaceAll('FOLDER', folder)}\n}\n`
  const parsed = parseCorefile(text, at('Corefile'), disk)
  if ('problems' in parsed) throw new Error(parsed.problems.map(sentence).join('\n'))
  const names = new FileNames(disk)
  names.follow(parsed)
  t.teardown(() => {
    names.close()
    rmSync(folder, { recursive: true })
  })
  const shown = () =>
    [...names.rows.entries()]
      .map(([, { name, records }]) => {
        const ips = (records as readonly { ip?: string }[]).flatMap(({ ip }) => ip ?? [])
        return `${name} ${ips.join()}`.trim()
      })
      .filter((line) => line.startsWith('a.') || line.startsWith('b.'))
      .sort()
  const problems = () => [...names.rejections.entries()].map(([, { problem }]) => problem)
  return { write, remove: (name: string) => unlinkSync(at(name)), names, sources: parsed.sources, shown, problems }
}

const zone = (serial: number, ...lines: readonly string[]): string =>
  [
    `@ 300 IN SOA ns hostmaster ${serial} 7200 1800 86400 300`,
    '@ 300 IN NS ns',
    'ns 300 IN A 10.0.0.53',
    ...lines,
    '',
  ].join('\n')

t.test('a hosts file that changes, by itself', async (t) => {
  const it = follow(t, { hosts: '10.0.0.1 a.example.org\n' }, 'hosts FOLDER/hosts {\nreload 20ms\n}')
  t.same(it.shown(), ['a.example.org. 10.0.0.1'])
  const { number } = it.names.rows
  it.write('hosts', '10.0.0.2 a.example.org\n10.0.0.3 b.example.org\n')
  await until(t, 'it is read again', () => it.shown().join() === 'a.example.org. 10.0.0.2,b.example.org. 10.0.0.3')
  t.ok(it.names.rows.number > number, 'who follows the table is told')
  it.write('hosts', '')
  await until(t, 'nothing is left', () => it.shown().length === 0)
})

t.test('looked at: the same is no change; a line that is wrong is told, and the others are taken', async (t) => {
  const it = follow(t, { hosts: '10.0.0.1 a.example.org\n' }, 'hosts FOLDER/hosts {\nreload 0\n}')
  const [source] = it.sources
  const { number } = it.names.rows
  it.write('hosts', '10.0.0.1   a.example.org # as before\n')
  it.names.look(source!)
  t.equal(it.names.rows.number, number)
  it.write('hosts', '10.0.0.1 a.example.org\n10.0.0 b.example.org\n')
  it.names.look(source!)
  t.same(it.shown(), ['a.example.org. 10.0.0.1'])
  t.match(it.problems(), [/10\.0\.0/])
  it.write('hosts', '10.0.0.1 a.example.org\n10.0.0.2 b.example.org\n')
  it.names.look(source!)
  t.same([it.shown(), it.problems()], [['a.example.org. 10.0.0.1', 'b.example.org. 10.0.0.2'], []])
  it.remove('hosts')
  it.names.look(source!)
  t.same(it.shown(), [], 'without the file there are no names')
  t.match(it.problems(), [/there is no file/])
})

t.test('a zone file: what is wrong leaves the zone as it was', async (t) => {
  const it = follow(t, { db: zone(1, 'a 300 IN A 10.0.0.1') }, 'file FOLDER/db {\nreload 20ms\n}')
  t.same(it.shown(), ['a.example.org. 10.0.0.1'])
  it.write('db', zone(2, 'a 300 IN A 10.0.0.2', 'b 300 IN A 10.0.0'))
  await until(t, 'it is told', () => it.problems().length > 0)
  t.same(it.shown(), ['a.example.org. 10.0.0.1'])
  it.write('db', zone(3, 'a 300 IN A 10.0.0.3', 'b 300 IN A 10.0.0.4'))
  await until(t, 'it is mended', () => it.shown().join() === 'a.example.org. 10.0.0.3,b.example.org. 10.0.0.4')
  t.same(it.problems(), [])
})

t.test('another Corefile: files that it does not name are followed no more', async (t) => {
  const it = follow(t, { hosts: '10.0.0.1 a.example.org\n' }, 'hosts FOLDER/hosts {\nreload 20ms\n}')
  it.names.follow({ sources: [], names: [] })
  t.same(it.shown(), [])
})
