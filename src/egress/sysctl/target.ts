import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Delta, Drift, Key, Refused, Target } from '../../core/delta.ts'
import { HeldRows } from '../../core/held.ts'
import type { ForwardingRow } from '../rows.ts'
import { routersOf, uplinksOf } from './routers.ts'

/** Where the kernel shows its settings and routes. */
export interface KernelFiles {
  /** Like /proc/sys. */
  readonly settings: string
  /** Like /proc/net/route. */
  readonly routes4: string
  /** Like /proc/net/ipv6_route. */
  readonly routes6: string
}

/**
 * Sets what the kernel must be set to so that pods' packets pass, and nothing that is right already. Who looks after it asks
 * `differs` often: the kernel tells nobody of a change. Reading a setting takes it 10 microseconds.
 */
export class ForwardingTarget implements Target<ForwardingRow> {
  readonly name = 'forwarding'
  readonly #files: KernelFiles
  readonly #rows = new HeldRows<ForwardingRow>()
  #refused = new Set<Key>()
  /** Interfaces whose routers we have kept. */
  readonly #kept = new Set<string>()
  /** Interfaces that a default route leads out of. */
  #uplinks: ReadonlySet<string> = new Set()
  /** Times that it was looked at. */
  #turn = 0

  constructor(files: KernelFiles = KERNEL_FILES) {
    this.#files = files
  }

  apply(delta: Delta<ForwardingRow>): Promise<readonly Refused[]> {
    this.#rows.take(delta)
    const refused: Refused[] = []
    // Routers first: the kernel forgets their routes as it begins to forward.
    for (const [key, row] of [...this.#rows].sort(([a], [b]) => order(a) - order(b) || (a < b ? -1 : 1))) {
      for (const [path, value] of this.#wrong(row, true)) {
        const why = this.#write(path, value)
        if (why === null) continue
        refused.push({ key, ...why })
        break
      }
    }
    this.#refused = new Set(refused.map(({ key }) => key))
    return Promise.resolve(refused)
  }

  audit(): Promise<Drift> {
    const detail = this.differs(true)
    return Promise.resolve(detail === null ? { clean: true } : { clean: false, detail })
  }

  /**
   * Settings stay, as others' agents leave theirs: who counts on them by now (containers, a VPN, the next network of pods)
   * nobody knows, nor whether somebody else has set them since. Those of our own devices go with them.
   */
  cleanup(): Promise<void> {
    return Promise.resolve()
  }

  /**
   * null: all is as it should be, but for what was refused and still is wrong. Unless `whole`, no routes are looked at, and
   * of the links of pods every second one, the others the next time: a node has hundreds.
   */
  differs(whole = false): string | null {
    this.#turn++
    for (const [key, row] of this.#rows) {
      const [first] = this.#wrong(row, whole || this.#refused.has(key))
      if (first !== undefined && !this.#refused.has(key)) return `${first[0].replaceAll('/', '.')} is not ${first[1]}`
      if (first === undefined && this.#refused.has(key)) return `${key} is right now`
    }
    return null
  }

  /** Paths of settings that are not as they should be, and how they should. `whole`: as `differs` has it. */
  *#wrong(row: ForwardingRow, whole: boolean): Iterable<readonly [path: string, value: string]> {
    switch (row.kind) {
      case 'setting': {
        const path = row.name.replaceAll('.', '/')
        if (this.#read(path) !== row.value) yield [path, row.value]
        return
      }
      case 'loose filter': {
        const all = this.#read('net/ipv4/conf/all/rp_filter')
        if (all === LOOSE) return
        for (const name of this.#interfaces(row.interface, whole)) {
          const path = `net/ipv4/conf/${name}/rp_filter`
          const own = this.#read(path)
          // The greater of the two counts (kernel: ip-sysctl, rp_filter).
          if (own === STRICT || (own === OFF && all === STRICT)) yield [path, LOOSE]
        }
        return
      }
      case 'routers': {
        if (whole) for (const name of routersOf(textOf(this.#files.routes6))) this.#kept.add(name)
        for (const name of this.#kept) {
          const path = `net/ipv6/conf/${name}/accept_ra`
          if (this.#read(path) === WHILE_A_HOST) yield [path, ALSO_AS_ROUTER]
        }
        return
      }
      case 'forwards':
        return yield* this.#closed(this.#interfaces(row.interface, whole))
      case 'uplinks':
        if (whole) this.#uplinks = uplinksOf(textOf(this.#files.routes4))
        return yield* this.#closed(this.#uplinks)
      default:
        row satisfies never
    }
  }

  /** The switch of all, when it is set, sets that of each. */
  *#closed(names: Iterable<string>): Iterable<readonly [path: string, value: string]> {
    if (this.#read('net/ipv4/ip_forward') !== '1') return
    for (const name of names) {
      const path = `net/ipv4/conf/${name}/forwarding`
      if (this.#read(path) === '0') yield [path, '1']
    }
  }

  #interfaces(name: string, whole: boolean): readonly string[] {
    if (!name.endsWith('*')) return [name]
    try {
      const prefix = name.slice(0, -1)
      const all = readdirSync(join(this.#files.settings, 'net/ipv4/conf')).filter((each) => each.startsWith(prefix))
      return whole ? all : all.filter((_, i) => i % 2 === this.#turn % 2)
    } catch {
      return []
    }
  }

  /** null: there is no such setting, or it cannot be read. */
  #read(path: string): string | null {
    try {
      return readFileSync(join(this.#files.settings, path), 'utf8').trim()
    } catch {
      return null
    }
  }

  /** null: done, or the interface went away meanwhile. */
  #write(path: string, value: string): { readonly reason: string; readonly remedy: string } | null {
    const name = path.replaceAll('/', '.')
    try {
      writeFileSync(join(this.#files.settings, path), value, { flag: 'r+' })
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return path.startsWith('net/ipv6/') && path.endsWith('/forwarding') ? NO_IPV6 : null
      const reason = `cannot be written: ${code === 'EROFS' ? '/proc/sys is mounted read-only' : (code ?? message)}`
      const remedy = `on the host: sysctl -w ${name}=${value}, and the same in a file of /etc/sysctl.d; or run the agent with /proc/sys writable (privileged)`
      return { reason, remedy }
    }
    if (this.#read(path) === value) return null
    return { reason: `${name} does not stay at ${value}`, remedy: 'find what sets it (systemd-sysctl, tuned, ...)' }
  }
}

/** '': the kernel does not have that family. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

const order = (key: Key): number => (key.endsWith('accept_ra') ? 0 : 1)

const [OFF, STRICT, LOOSE] = ['0', '1', '2']
const [WHILE_A_HOST, ALSO_AS_ROUTER] = ['1', '2'] as const
const NO_IPV6 = {
  reason: 'this kernel has no IPv6: pods here have IPv6 addresses that nothing carries',
  remedy: 'boot it without ipv6.disable=1, or give nodes IPv4 ranges only',
}
const KERNEL_FILES: KernelFiles = {
  ...{ settings: '/proc/sys', routes4: '/proc/net/route', routes6: '/proc/net/ipv6_route' },
}
