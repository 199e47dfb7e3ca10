import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { InputTable } from '../core/table.ts'
import { FILE } from './conflist.ts'
import type { Forerunner } from './rows.ts'

export const createForerunners = (): InputTable<Forerunner> =>
  new InputTable<Forerunner>('forerunners', { indexes: { all: () => [''] } })

/**
 * Looks which files of a folder container runtimes take before ours: of those with their endings the first by name, also
 * where it cannot be parsed (containerd: go-cni, loadFromConfDir). multus hands pods on to the file behind its own.
 */
export async function readForerunners(table: InputTable<Forerunner>, folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []) // who writes there says what is wrong with it
  const before = names.filter((name) => ENDINGS.has(extname(name)) && name < FILE).sort()
  const found: Forerunner[] = []
  for (const file of before.slice(0, FILES_MAX)) {
    const text = await readFile(join(folder, file), 'utf8').catch(() => '')
    const { network, types } = describe(text)
    if (!HANDS_ON.has(types[0] ?? '')) found.push({ file, what: `network ${network}, plugins ${types.join(', ')}` })
  }
  table.replace(found.map((each) => [each.file, each]))
  table.markSynced()
}

/** Of a list of plugins, or of a single one (CNI specification 0.4). */
function describe(text: string): { readonly network: string; readonly types: readonly string[] } {
  let network: unknown
  let types: readonly unknown[] = []
  try {
    const { name, type, plugins } = JSON.parse(text) as { name?: unknown; type?: unknown; plugins?: unknown }
    network = name
    types = Array.isArray(plugins) ? plugins.map((each) => (each as { type?: unknown } | null)?.type) : [type]
  } catch {
    // Somebody may be writing it.
  }
  const words = types.slice(0, TYPES_MAX).map((each) => word(each))
  return { network: word(network), types: words.length === 0 ? [word(null)] : words }
}

const word = (value: unknown): string => (typeof value === 'string' && WORD.test(value) ? value : 'unknown')

const ENDINGS = new Set(['.conf', '.conflist', '.json'])
const HANDS_ON = new Set(['multus', 'multus-shim'])
const WORD = /^[\w.-]{1,64}$/
const FILES_MAX = 20
const TYPES_MAX = 10
