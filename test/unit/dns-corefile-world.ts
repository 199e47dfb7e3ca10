import type { Access } from '../../src/dns/corefile/access.ts'
import { parseCorefile } from '../../src/dns/corefile/corefile.ts'
import { sentence } from '../../src/dns/corefile/problem.ts'
import type { Step } from '../../src/dns/corefile/step.ts'

/** A file system, an environment and devices that are no more than what a test says. */
export function access(
  files: Readonly<Record<string, string>> = {},
  env: Readonly<Record<string, string>> = {},
): Access {
  const below = (folder: string): string => (folder.endsWith('/') ? folder : `${folder}/`)
  return {
    read: (path) => {
      const text = Object.hasOwn(files, path) ? files[path] : undefined
      if (text !== undefined) return { text }
      const folder = Object.keys(files).some((file) => file.startsWith(below(path)))
      return { unreadable: folder ? 'folder' : 'missing' }
    },
    list: (folder) => [
      ...new Set(
        Object.keys(files)
          .filter((file) => file.startsWith(below(folder)))
          .map((file) => file.slice(below(folder).length).split('/')[0]!),
      ),
    ],
    env: (name) => (Object.hasOwn(env, name) ? env[name] : undefined),
    interfaces: () => [
      { name: 'lo', addresses: ['127.0.0.1', '::1'] },
      { name: 'eth0', addresses: ['10.0.0.5', 'fd00::5', 'fe80::5'] },
    ],
    hostname: () => 'dns-0',
  }
}

export const RESOLV_CONF = 'search corp.example\nnameserver 10.0.0.2\nnameserver fd00::2\n'

/** What is wrong, as `3:5 what it is; what to do`. Empty: nothing. */
export function wrong(text: string, given: Access = access({ '/etc/resolv.conf': RESOLV_CONF })): readonly string[] {
  const parsed = parseCorefile(text, '/Corefile', given)
  return 'problems' in parsed
    ? parsed.problems.map((it) => sentence(it).replace('/Corefile:', '').replace(': ', ' '))
    : []
}

export function configuration(text: string, given: Access = access({ '/etc/resolv.conf': RESOLV_CONF })) {
  const parsed = parseCorefile(text, '/Corefile', given)
  if ('problems' in parsed) throw new Error(parsed.problems.map(sentence).join('\n'))
  return parsed
}

/** The one step that these lines of a server of `example.org` make. */
export function step(lines: string, given?: Access): Step {
  const { servers } = configuration(`example.org {\n${lines}\n}`, given)
  const [only] = servers[0]!.steps
  return only!
}
