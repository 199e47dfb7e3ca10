/** What a Corefile reaches beyond its own text. All of it is given, so that parsing is pure. */
export interface Access {
  /** The text of a file, or why there is none. */
  read(path: string): { readonly text: string } | Unreadable
  /** Names of the entries of a folder, in any order; none when there is no such folder. */
  list(folder: string): readonly string[]
  /** Of an environment variable. */
  env(name: string): string | undefined
  /** Of the devices of this network namespace: for `bind eth0`. Canonical, link-local ones without their zone. */
  interfaces(): readonly { readonly name: string; readonly addresses: readonly string[] }[]
  hostname(): string
}

export interface Unreadable {
  /** `missing`: there is no such file; `folder`: it is one; `denied`, `large`: more than FILE_MAX octets. */
  readonly unreadable: 'missing' | 'folder' | 'denied' | 'large'
}

/** What to do about a file that cannot be read. */
export function remedyOf({ unreadable }: Unreadable, path: string): readonly [problem: string, remedy: string] {
  const shown = JSON.stringify(path.slice(0, 200))
  switch (unreadable) {
    case 'missing':
      return [`there is no file ${shown}`, 'mount it, or mend the path']
    case 'folder':
      return [`${shown} is a folder`, 'name a file']
    case 'denied':
      return [`${shown} may not be read`, 'let the user of this process read it']
    case 'large':
      return [`${shown} has more than ${FILE_MAX >> 20} MiB`, 'split it']
    default:
      return unreadable satisfies never
  }
}

export const FILE_MAX = 16 << 20
