/** A BIND (Debian package bind9) with one zone that may be changed with a key, as a user's own would be. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { Resolver } from 'node:dns/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exec } from '../../src/kernel/exec.ts'
import { startDaemon, until, type Daemon } from './process.ts'

/** null: it is here; else what installs it. */
export async function whyNoNameServer(): Promise<string | null> {
  const found = await exec(['named', '-v'])
  return found.kind === 'missing' ? 'named is missing: apt-get install --no-install-recommends bind9' : null
}

export class NameServer {
  readonly port: number
  /** In base64: of the TSIG key `acme`, hmac-sha256. */
  readonly key: string
  readonly #daemon: Daemon
  readonly #folder: string

  /** All names of `zone` are `address`. */
  static async start(zone: string, address: string, port: number): Promise<NameServer> {
    const folder = mkdtempSync(join(tmpdir(), 'fairlead-named-'))
    const key = randomBytes(32).toString('base64')
    writeFileSync(
      join(folder, 'zone'),
      `$TTL 60\n@ SOA ns.${zone}. ops.${zone}. 1 60 60 600 60\n@ NS ns\n@ A ${address}\n* A ${address}\n`,
    )
    writeFileSync(
      join(folder, 'named.conf'),
      `options { directory "${folder}"; listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; }; recursion no;
         pid-file none; session-keyfile none; dnssec-validation no; };
       controls { };
       key "acme" { algorithm hmac-sha256; secret "${key}"; };
       zone "${zone}" { type primary; file "zone"; update-policy { grant acme subdomain ${zone}. TXT; }; };\n`,
    )
    const daemon = startDaemon(['named', '-g', '-c', join(folder, 'named.conf')], join(folder, 'log'))
    const server = new NameServer({ port, key, daemon, folder })
    const asked = until('an answer', async () => (await server.resolver.resolve4(`up.${zone}`)).length > 0)
    await Promise.race([asked, daemon.failed])
    return server
  }

  private constructor(made: { port: number; key: string; daemon: Daemon; folder: string }) {
    this.port = made.port
    this.key = made.key
    this.#daemon = made.daemon
    this.#folder = made.folder
  }

  get resolver(): Resolver {
    const resolver = new Resolver()
    resolver.setServers([`127.0.0.1:${this.port}`])
    return resolver
  }

  /** Of a name; none: []. */
  async texts(name: string): Promise<string[]> {
    const found = await this.resolver.resolveTxt(name).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENODATA' || error.code === 'ENOTFOUND') return []
      throw error
    })
    return found.map((parts) => parts.join('')).sort()
  }

  async stop(): Promise<void> {
    await this.#daemon.stop()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
