/**
 * The arrows between the rooms of src/, held: who may import whom. Also: one file starts processes, no file is long, and
 * none is a drawer for odds and ends. `node test/lint/arrows.ts` prints what breaks them and exits 1.
 */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path/posix'

export interface Violation {
  readonly file: string
  readonly problem: string
}

/** Feature rooms: what they decide lies beside how they act (their target folders). They never import each other. */
const FEATURES = [
  'service',
  'policy',
  'overlay',
  'egress',
  'cni',
  'bridge',
  'announce',
  'ingress',
  'dns',
  'nodelocal',
  'flows',
]
const TARGET_FOLDERS = ['nftables', 'iptables', 'ipvs', 'ebpf', 'netlink', 'carrier', 'conntrack', 'localhost']

/**
 * Room -> the rooms it may import, besides itself. `rows` is src/FEATURE/rows.ts, of any feature; `wire` what is generated
 * from native/wire: rows are what a feature decides, whoever carries them.
 */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  cluster: ['core'],
  kernel: ['core'],
  carrier: ['core', 'kernel'],
  status: ['core', 'cluster', 'rows'],
  ...Object.fromEntries(FEATURES.map((feature) => [feature, ['core', 'cluster', 'wire']])),
}
/** Rooms that see everything. */
const FREE = ['cli', 'lab', '']

/** `files`: path from the top of the repository (src/...) -> text. */
export function violations(files: ReadonlyMap<string, string>): Violation[] {
  const found: Violation[] = []
  for (const [file, text] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const lines = text.split('\n').length - 1
    if (lines > LINES_MAX && !text.startsWith(GENERATED))
      found.push({ file, problem: `${lines} lines; ${LINES_MAX} at most: find the second noun in it` })
    if (DRAWER.test(file)) found.push({ file, problem: 'is named after nothing: name it after the noun it holds' })
    // A type of node:child_process starts nothing.
    for (const specifier of imports(text.replace(TYPES_OF_PROCESSES, ''))) {
      const problem = specifier.startsWith('.')
        ? crosses(file, normalize(join(dirname(file), specifier)))
        : PROCESSES.has(specifier) && file !== ONLY_SPAWNER
          ? `imports ${specifier}: only ${ONLY_SPAWNER} starts processes`
          : null
      if (problem !== null) found.push({ file, problem })
    }
  }
  return found
}

/** Every module that a file names: import, export from, import() and require() with a literal. Types count too: they are knowledge. */
export function imports(text: string): string[] {
  const all = IMPORTS.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1]!))
  return [...new Set(all)]
}

function crosses(from: string, to: string): string | null {
  if (!to.startsWith('src/')) {
    return to === 'package.json' || to.startsWith('native/') ? null : `imports ${to}, which is outside of src`
  }
  const [room, target] = roomOf(from)
  const [other] = roomOf(to)
  if (room === other || FREE.includes(room)) return null
  const allowed = ARROWS[room]
  if (!allowed) return `room ${room} has no arrows yet: say in test/lint/arrows.ts whom it may import`
  if (allowed.includes(other)) return null
  if (allowed.includes('rows') && FEATURES.includes(other) && to === `src/${other}/rows.ts`) return null
  if (allowed.includes('wire') && WIRE.includes(to)) return null
  if (target && (other === 'kernel' || other === 'carrier')) return null
  const targets = FEATURES.includes(room) ? `, and kernel and carrier in ${TARGET_FOLDERS.join(', ')}` : ''
  return `imports ${to}: ${room} may import ${allowed.join(', ') || 'nothing of ours'}${targets}`
}

/** The room of a file, and whether it lies in a target folder of it. src/main.ts is in room ''. */
function roomOf(file: string): [room: string, target: boolean] {
  const parts = file.split('/')
  return parts.length < 3 ? ['', false] : [parts[1]!, TARGET_FOLDERS.includes(parts[2]!)]
}

const LINES_MAX = 300
/** By `npm run wire`, from Rust. */
const GENERATED = '// Written by '
const WIRE = ['src/carrier/wire.ts', 'src/carrier/servers.ts', 'src/carrier/proxy.ts']
const DRAWER = /\/(utils?|helpers?|manager|common|misc)(\.ts$|\/)/
const ONLY_SPAWNER = 'src/kernel/exec.ts'
const PROCESSES = new Set(['node:child_process', 'child_process', 'node:cluster', 'cluster'])
const TYPES_OF_PROCESSES = /^import type [^;'"]*from ['"](node:)?child_process['"]$/gm
const IMPORTS = [
  /(?:^|[\n;])\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/g,
  /(?:^|[\n;])\s*import\s*['"]([^'"]+)['"]/g,
  /\b(?:import|require|createRequire\([^)]*\))\s*\(\s*['"`]([^'"`$]+)['"`]/g,
]

if (import.meta.main) {
  const files = new Map(globSync('src/**/*.ts').map((file) => [file, readFileSync(file, 'utf8')]))
  const found = violations(files)
  for (const { file, problem } of found) console.log(`${file}: ${problem}`)
  console.log(found.length === 0 ? `${files.size} files keep the arrows` : `${found.length} problems`)
  process.exitCode = found.length === 0 ? 0 : 1
}
