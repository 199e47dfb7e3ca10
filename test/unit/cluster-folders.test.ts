import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findManifests } from '../../src/cluster/manifests.ts'
import { FolderWatch } from '../../src/cluster/source/folders.ts'
import { until } from '../contract/source.ts'

function watching(t: Test, watchFolder?: typeof fs.watch) {
  const folder = fs.mkdtempSync(join(tmpdir(), 'clu-folders-'))
  let events = 0
  const watch = new FolderWatch(() => void events++, watchFolder)
  t.teardown(() => {
    watch.close()
    fs.rmSync(folder, { recursive: true })
  })
  return {
    watch,
    at: (name: string) => join(folder, name),
    set: (...names: string[]) => {
      const paths = names.map((name) => join(folder, name))
      return watch.set(findManifests(paths).folders, paths)
    },
    /** Waits for an event that comes after `change`. */
    sees: async (what: string, change: () => void) => {
      const before = events
      change()
      await until(t, what, () => events > before)
    },
  }
}

t.test('a folder, and the one that takes its place', async (t) => {
  const { set, sees, at } = watching(t)
  fs.mkdirSync(at('a'))
  t.equal(set('a'), true, 'newly watched: what was before is not known')
  t.equal(set('a'), false)
  await sees('a file in it', () => fs.writeFileSync(at('a/x.yaml'), ''))
  await sees('it is replaced', () => {
    fs.renameSync(at('a'), at('b'))
    fs.mkdirSync(at('a'))
  })
  t.equal(set('a'), true, 'the other folder is newly watched')
  await sees('a file in the other', () => fs.writeFileSync(at('a/x.yaml'), ''))
})

t.test('a path that is not there, and others beside it', async (t) => {
  const { set, sees, at } = watching(t)
  set('later.yaml')
  await sees('it comes', () => fs.writeFileSync(at('later.yaml'), 'x'))
  await sees('it changes', () => fs.writeFileSync(at('later.yaml'), 'y'))
  await sees('it is replaced', () => {
    fs.writeFileSync(at('beside'), 'z')
    fs.renameSync(at('beside'), at('later.yaml'))
  })
})

t.test('why not all is watched', async (t) => {
  let full = true
  const limited = ((...args: Parameters<typeof fs.watch>) => {
    if (full) throw Object.assign(new Error('ENOSPC: limit reached'), { code: 'ENOSPC' })
    return fs.watch(...args)
  }) as typeof fs.watch
  const { watch, set, at } = watching(t, limited)
  fs.mkdirSync(at('a'))
  t.equal(set('a'), false)
  t.equal(watch.failure, 'ENOSPC: limit reached')
  full = false
  t.equal(set('a'), true)
  t.equal(watch.failure, null)
})
