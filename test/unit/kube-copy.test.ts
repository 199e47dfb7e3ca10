/** The copy on disk: what comes back is what was kept, or nothing. */
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import * as kind from '../../src/cluster/kind.ts'
import { Copies } from '../../src/cluster/source/kube.ts'
import { decodeRow, encodeRow } from '../../src/cluster/source/kube/rowtext.ts'
import { createTables } from '../../src/cluster/tables.ts'
import { InputTable } from '../../src/core/table.ts'

t.test('rows come back as they were, Maps included', async (t) => {
  const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null))
  const { row } = fc.letrec((tie) => ({
    row: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('row')),
      fc.array(fc.tuple(fc.string(), tie('row'))).map((pairs) => new Map(pairs)),
      fc.dictionary(fc.string(), tie('row'), { noNullPrototype: true }),
    ),
  }))
  fc.assert(
    fc.property(fc.string(), row, (key, row) => {
      t.strictSame(decodeRow(encodeRow(key, row), new Map()), [key, row])
    }),
    { numRuns: 300 },
  )
})

t.test('saved and loaded', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'kube-copy-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const copies = new Copies(join(folder, 'copies'), '1')
  const { nodes } = createTables()
  t.match(await copies.load(kind.nodes), { kind: 'none', reason: /ENOENT/ })
  const parsed = kind.nodes.parse({ metadata: { name: 'n1', labels: { 'topology.kubernetes.io/zone': 'z' } } })
  for (const name of ['n1', 'n2', 'n3']) nodes.put(name, { ...parsed.row!, name })
  t.equal(await copies.save(kind.nodes, nodes), null)
  const loaded = await copies.load(kind.nodes)
  t.strictSame(loaded.kind === 'copy' && [...loaded.rows], [...nodes.entries()])
  const path = join(folder, 'copies', 'core.nodes.jsonl')
  t.equal((await stat(path)).mode & 0o777, 0o600)
  t.equal((await stat(join(folder, 'copies'))).mode & 0o777, 0o700)
  t.same(await readdir(join(folder, 'copies')), ['core.nodes.jsonl'], 'nothing else is left')

  t.match(await new Copies(copies.folder, '2').load(kind.nodes), { kind: 'none', reason: /version 1/ })
  const text = await readFile(path, 'utf8')
  for (let length = 0; length < text.length; length += 7) {
    await writeFile(path, text.slice(0, length))
    t.match(await copies.load(kind.nodes), { kind: 'none' }, `cut at ${length}`)
  }
  await writeFile(path, text.replace(/[^\n]*\n$/, ''))
  t.match(await copies.load(kind.nodes), { kind: 'none', reason: /not whole/ }, 'a line too few')
  await writeFile(path, text.replace('"kind":"Node"', '"kind":"Pod"'))
  t.match(await copies.load(kind.nodes), { kind: 'none' })
  await truncate(path, 1024 ** 3)
  t.match(await copies.load(kind.nodes), { kind: 'none', reason: /larger/ })
})

t.test('a folder that cannot be written is said, not thrown', async (t) => {
  const copies = new Copies(join(import.meta.filename, 'no-folder'), '1')
  t.match(await copies.save(kind.nodes, createTables().nodes), /no copy of nodes was kept/)
})

t.test('Secrets are never written down', async (t) => {
  const secrets = { ...kind.services, kind: 'Secret', plural: 'secrets' }
  const folder = await mkdtemp(join(tmpdir(), 'kube-copy-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await t.rejects(new Copies(folder, '1').save(secrets, new InputTable('secrets')), /must not be written/)
  t.same(await readdir(folder), [])
})
