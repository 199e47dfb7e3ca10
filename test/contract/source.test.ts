import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { AnyInlet } from '../../src/cluster/inlet.ts'
import { directorySource } from '../../src/cluster/source/directory.ts'
import { memorySource } from '../../src/cluster/source/memory.ts'
import { contract, type Harness, type Object_ } from './source.ts'

contract(t, 'memory', async (_t, inlets) => {
  const source = memorySource(inlets)
  const world = new Map<string, Object_>()
  let seeing = false
  const list = () => {
    for (const { kind } of inlets) {
      source.replace(
        kind.kind,
        [...world.values()].filter((object) => object.kind === kind.kind),
      )
    }
  }
  return {
    start: async () => {
      seeing = true
      list()
      source.synced()
    },
    put: async (object) => {
      world.set(idOf(object), object)
      if (seeing) source.put(object)
    },
    drop: async (object) => {
      world.delete(idOf(object))
      if (seeing) source.drop(object)
    },
    relist: async () => list(),
    away: async (change) => {
      seeing = false
      await change()
      seeing = true
      list()
    },
    stop: async () => {},
  }
})

// A file for each object.
contract(t, 'directory, many files', async (t, inlets) => {
  const world = new Map<string, Object_>()
  return directory(t, inlets, {
    put: (folder, object) => {
      world.set(idOf(object), object)
      writeFileSync(join(folder, `${idOf(object)}.json`), JSON.stringify(object))
    },
    drop: (folder, object) => {
      world.delete(idOf(object))
      rmSync(join(folder, `${idOf(object)}.json`))
    },
    again: (folder) => {
      for (const [id, object] of world) writeFileSync(join(folder, `${id}.json`), JSON.stringify(object))
    },
  })
})

// One file with all objects, written anew each time.
contract(t, 'directory, one file', async (t, inlets) => {
  const world = new Map<string, Object_>()
  const write = (folder: string) =>
    writeFileSync(join(folder, 'all.yaml'), [...world.values()].map((it) => JSON.stringify(it)).join('\n---\n'))
  return directory(t, inlets, {
    put: (folder, object) => {
      world.set(idOf(object), object)
      write(folder)
    },
    drop: (folder, object) => {
      world.delete(idOf(object))
      write(folder)
    },
    again: write,
  })
})

interface Writer {
  put(folder: string, object: Object_): void
  drop(folder: string, object: Object_): void
  again(folder: string): void
}

async function directory(t: Test, inlets: readonly AnyInlet[], writer: Writer): Promise<Harness> {
  const folder = mkdtempSync(join(tmpdir(), 'clu-contract-'))
  const stopping = new AbortController()
  let done: Promise<void> = Promise.resolve()
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return {
    start: async () => {
      const { signal } = stopping
      done = directorySource({ paths: [folder], inlets, signal, onProblem: (it) => t.comment(it) }).done
    },
    put: async (object) => writer.put(folder, object),
    drop: async (object) => writer.drop(folder, object),
    relist: async () => writer.again(folder),
    stop: () => {
      stopping.abort()
      return done
    },
  }
}

const idOf = ({ kind, metadata }: Object_) => `${kind}-${metadata.namespace ?? ''}-${metadata.name}`
