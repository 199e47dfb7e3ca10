/** A real nginx as a backend, lenient where it can be, that keeps what it takes for a request and for its body. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { findDebian } from '../../bench/debian.ts'
import { PACKAGES } from '../../bench/proxies.ts'
import { CLASS, backendObjects, ingress } from '../contract/ingress-objects.ts'
import { ShippedIngress } from '../netns/ingress-shipped.ts'
import { ip } from '../netns/world.ts'
import { startDaemon, until, type Daemon } from './process.ts'

export interface Heard {
  /** As it stood in the request; empty: nginx could not read it. */
  readonly method: string
  readonly target: string
  readonly status: number
  readonly body: string
  readonly upgrade: string
  readonly coding: string
  /** The connection, and how many requests there were on it so far. */
  readonly connection: number
  readonly turn: number
}

export const shown = ({ method, target, body }: Heard): string => `${method} ${target} ${body}`

/** What nginx heard behind the ingress as it ships, on port 80 of this machine, while `ask` was under way. */
export async function besideNginx(t: Test, ask: () => Promise<void>): Promise<Heard[]> {
  const shipped = new ShippedIngress()
  t.teardown(() => shipped.end())
  await ip('addr replace 10.9.0.1/32 dev lo')
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-nginx-'))
  const nginx = await Nginx.start(folder, '10.9.0.1:8080')
  t.teardown(async () => {
    await nginx.stop()
    rmSync(folder, { recursive: true })
  })
  const annotations = { 'ssl-redirect': 'false' }
  shipped.write(CLASS, ...backendObjects('x/a', ['10.9.0.1']), ingress('x/i', { paths: { '/': 'a' }, annotations }))
  await shipped.begin()
  await until('it is served', async () => (await shipped.get('http://a/served')).status === 200)
  await ask()
  // Then nothing is on its way any more.
  await shipped.end()
  return (await nginx.end()).filter(({ connection, turn }) => connection > 0 && turn > 0)
}

class Nginx {
  readonly #folder: string
  readonly #daemon: Daemon

  private constructor(folder: string, daemon: Daemon) {
    this.#folder = folder
    this.#daemon = daemon
  }

  /** Answers with method and target, as it heard them. `listen`: address and port. */
  static async start(folder: string, listen: string): Promise<Nginx> {
    writeFileSync(join(folder, 'nginx.conf'), configuration(folder, listen))
    const { path, env } = (await findDebian(PACKAGES))!
    const words = [path('nginx'), '-e', join(folder, 'errors'), '-p', folder, '-c', join(folder, 'nginx.conf')]
    const libraries = `LD_LIBRARY_PATH=${env['LD_LIBRARY_PATH']}`
    const daemon = startDaemon(['env', libraries, ...words], join(folder, 'output'))
    const nginx = new Nginx(folder, daemon)
    const up = until('nginx listens', () => readFileSync(join(folder, 'pid'), 'utf8').trim() !== '')
    await Promise.race([up, daemon.failed])
    return nginx
  }

  /** Ends it, and returns all that it heard until then, in the order in which it was through with it. */
  async end(): Promise<Heard[]> {
    // Gracefully: what is under way is answered, and written down.
    process.kill(Number(readFileSync(join(this.#folder, 'pid'), 'utf8')), 'SIGQUIT')
    await this.#daemon.failed.catch(() => {})
    const lines = readFileSync(join(this.#folder, 'heard'), 'latin1').split('\n')
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Heard)
  }

  stop(): Promise<void> {
    return this.#daemon.stop()
  }
}

/** The body is read before the request is passed on to the second server, whose only purpose that is. */
const configuration = (folder: string, listen: string): string => `daemon off;
master_process off;
user root;
pid ${folder}/pid;
error_log ${folder}/errors info;
events { worker_connections 1024; }
http {
  ${['client_body', 'proxy', 'fastcgi', 'scgi', 'uwsgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join('\n  ')}
  log_format heard escape=json '{"method":"$request_method","target":"$request_uri","status":$status,'
    '"body":"$request_body","upgrade":"$http_upgrade$http_http2_settings","coding":"$http_transfer_encoding",'
    '"connection":$connection,"turn":$connection_requests}';
  keepalive_timeout 3600s;
  keepalive_requests 1000000;
  underscores_in_headers on;
  client_body_buffer_size 1m;
  client_body_in_single_buffer on;
  large_client_header_buffers 8 64k;
  server {
    listen ${listen};
    access_log ${folder}/heard heard;
    location / { proxy_pass http://unix:${folder}/answers.sock; }
  }
  server {
    listen unix:${folder}/answers.sock;
    access_log off;
    location / { return 200 "$request_method $request_uri"; }
  }
}
`
