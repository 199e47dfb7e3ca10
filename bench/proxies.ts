/**
 * Layer-7 proxies that are compared, each on SERVER_CORE with one thread that serves and ports of its own, before the same
 * origin, which shares the other core with the client. All send the origin the headers that ingress-nginx sends, show the
 * same certificate, and write no access log. Ours follows an API server.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { carrier } from '../src/kernel/carrier.ts'
import type { Unpacked } from './debian.ts'
import { CLIENT_CORE, pinned, pinnedServer } from './pinned.ts'

export type Who = 'Fairlead' | 'nginx' | 'HAProxy'

export interface Proxy {
  readonly who: Who
  readonly ports: Ports
  /** All CPU and memory of it and its children is that of the proxy. */
  readonly process: ChildProcess
}

export interface Ports {
  readonly http: number
  readonly https: number
}

export interface Surroundings {
  readonly debian: Unpacked
  /** Certificate and key, PEM. */
  readonly pair: { readonly chain: string; readonly key: string }
  /** Of the API server, over TCP. */
  readonly apiPort: number
  readonly signal: AbortSignal
}

/** Ours without its controller. */
export function startFairlead({ signal }: Pick<Surroundings, 'signal'>, state: string): Proxy {
  const folder = folderOf('fairlead')
  const words = ['proxy', '--socket', socketOf(folder), '--state', state, '--threads', '1', '--http', '127.0.0.1:7399']
  return { who: 'Fairlead', ports: PORTS.Fairlead, process: pinnedServer([carrier, ...words], signal, folder) }
}

/** `fairlead ingress`, on the other core: it follows the API server for the carrier that was started last. */
export function startController({ apiPort, signal }: Pick<Surroundings, 'apiPort' | 'signal'>): ChildProcess {
  const { http, https } = PORTS.Fairlead
  const words = [
    ...['ingress', '--socket', socketOf(folderOf('fairlead')), '--api-server', `http://127.0.0.1:${apiPort}`],
    ...['--address', '127.0.0.1', '--http-port', `${http}`, '--https-port', `${https}`, '--log', 'warn'],
    ...['--configmap', 'bench/settings', '--default-ssl-certificate', 'bench/pair'],
    ...['--status-bind-address', '127.0.0.1:7398', '--name', 'bench', '--namespace', 'bench', '--trial'],
  ]
  const fairlead = new URL('../bin/fairlead', import.meta.url).pathname
  return pinned(CLIENT_CORE, [fairlead, ...words], { stdout: 'ignore', signal })
}

/** As ingress-nginx's template has it, as far as it concerns one request. */
export function startNginx({ debian, pair, signal }: Surroundings): Proxy {
  const folder = folderOf('nginx')
  writeFileSync(`${folder}/pair.pem`, pair.chain)
  writeFileSync(`${folder}/key.pem`, pair.key, { mode: 0o600 })
  const { http, https } = PORTS.nginx
  const headers = [
    ['Host', '$host'],
    ['X-Request-ID', '$request_id'],
    ['X-Real-IP', '$remote_addr'],
    ['X-Forwarded-For', '$remote_addr'],
    ['X-Forwarded-Host', '$host'],
    ['X-Forwarded-Port', '$server_port'],
    ['X-Forwarded-Proto', '$scheme'],
    ['X-Forwarded-Scheme', '$scheme'],
    ['X-Scheme', '$scheme'],
  ]
  const set = (directive: string): string => headers.map(([name, value]) => `${directive} ${name} ${value};`).join('\n')
  writeFileSync(
    `${folder}/nginx.conf`,
    `${NGINX_GLOBAL(folder)}
http {
  ${NGINX_HTTP(folder)}
  upstream origin { server ${ORIGIN}:${ORIGIN_PORT}; keepalive 320; keepalive_requests 10000000; }
  upstream grpc { server ${ORIGIN}:${GRPC_PORT}; keepalive 320; keepalive_requests 10000000; }
  server {
    listen 127.0.0.1:${http};
    listen 127.0.0.1:${https} ssl http2;
    ssl_certificate ${folder}/pair.pem;
    ssl_certificate_key ${folder}/key.pem;
    ssl_session_cache shared:SSL:10m;
    ssl_session_tickets on;
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      ${set('proxy_set_header')}
      proxy_pass http://origin;
    }
    location /grpc.bench/ {
      ${set('grpc_set_header')}
      grpc_pass grpc://grpc;
    }
  }
}
`,
  )
  const { path, env } = debian
  return { who: 'nginx', ports: PORTS.nginx, process: pinnedServer(nginxWords(path, folder), signal, folder, env) }
}

export function startHaproxy({ debian, pair, signal }: Surroundings): Proxy {
  const folder = folderOf('haproxy')
  writeFileSync(`${folder}/pair.pem`, pair.chain + pair.key, { mode: 0o600 })
  const { http, https } = PORTS.HAProxy
  writeFileSync(
    `${folder}/haproxy.cfg`,
    `global
  nbthread 1
  maxconn 4000
  tune.ssl.default-dh-param 2048
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 75s
  http-reuse always
frontend in
  bind 127.0.0.1:${http}
  bind 127.0.0.1:${https} ssl crt ${folder}/pair.pem alpn h2,http/1.1 ssl-min-ver TLSv1.2
  unique-id-format %{+X}o%ci%cp%fi%fp%Ts%rt%pid
  http-request set-header X-Request-ID %[unique-id]
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  http-request set-header X-Forwarded-Proto http if !{ ssl_fc }
  http-request set-header X-Forwarded-Scheme https if { ssl_fc }
  http-request set-header X-Forwarded-Scheme http if !{ ssl_fc }
  http-request set-header X-Scheme https if { ssl_fc }
  http-request set-header X-Scheme http if !{ ssl_fc }
  use_backend grpc if { path_beg /grpc.bench/ }
  default_backend origin
backend origin
  server one ${ORIGIN}:${ORIGIN_PORT}
backend grpc
  server one ${ORIGIN}:${GRPC_PORT} proto h2
`,
  )
  const words = [debian.path('haproxy'), '-db', '-f', `${folder}/haproxy.cfg`]
  return { who: 'HAProxy', ports: PORTS.HAProxy, process: pinnedServer(words, signal, folder, debian.env) }
}

/** What is behind the proxies: small and large bodies by nginx, unary gRPC by nghttpd; on the client's core. */
export function startOrigin({ debian, signal }: Pick<Surroundings, 'debian' | 'signal'>): readonly ChildProcess[] {
  const folder = folderOf('origin')
  mkdirSync(`${folder}/grpc.bench`, { recursive: true })
  writeFileSync(`${folder}/large`, Buffer.alloc(LARGE_BYTES, 'fairlead'))
  writeFileSync(`${folder}/grpc.bench/Unary`, GRPC_MESSAGE)
  writeFileSync(
    `${folder}/nginx.conf`,
    `${NGINX_GLOBAL(folder)}
http {
  ${NGINX_HTTP(folder)}
  server {
    listen ${ORIGIN}:${ORIGIN_PORT};
    location / { return 200 "${'small body of an answer, '.repeat(3).slice(0, 68)}"; }
    location = /large { root ${folder}; }
  }
}
`,
  )
  const { path, env } = debian
  const grpc = [
    ...[path('nghttpd'), '--no-tls', '--address', ORIGIN, '--htdocs', folder],
    ...['--trailer', 'grpc-status: 0', '--mime-types-file', `${folder}/mime`, `${GRPC_PORT}`],
  ]
  writeFileSync(`${folder}/mime`, 'application/grpc grpc\n')
  return [nginxWords(path, folder), grpc].map((words) =>
    pinned(CLIENT_CORE, words, { stdout: 'ignore', signal, cwd: folder, env }),
  )
}

const nginxWords = (path: Unpacked['path'], folder: string): readonly string[] => [
  ...[path('nginx'), '-e', 'stderr', '-p', folder, '-c', `${folder}/nginx.conf`],
]

const NGINX_GLOBAL = (folder: string): string => `daemon off;
user root;
pid ${folder}/pid;
worker_processes 1;
error_log stderr error;
events { worker_connections 4096; multi_accept on; }`

const NGINX_HTTP = (folder: string): string => `access_log off;
  server_tokens off;
  keepalive_timeout 75s;
  keepalive_requests 10000000;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  scgi_temp_path ${folder}/scgi;
  uwsgi_temp_path ${folder}/uwsgi;`

function folderOf(name: string): string {
  const folder = `/run/bench-http-${name}`
  mkdirSync(folder, { recursive: true })
  return folder
}

const socketOf = (folder: string): string => `${folder}/proxy.sock`
export const PORTS: Readonly<Record<Who, Ports>> = {
  Fairlead: { http: 7301, https: 7302 },
  nginx: { http: 7303, https: 7304 },
  HAProxy: { http: 7305, https: 7306 },
}
/** An endpoint is not of the loopback. */
export const ORIGIN = '10.128.0.1'
export const ORIGIN_PORT = 8080
export const GRPC_PORT = 8081
export const ECHO_PORT = 8082
/** Length-prefixed: one octet of flags, four of length (gRPC over HTTP/2). */
export const GRPC_MESSAGE = Buffer.concat([Buffer.from([0, 0, 0, 0, 16]), Buffer.alloc(16, 'm')])
const LARGE_BYTES = 2 ** 20
/** Of Debian: openssl for handshakes. */
export const PACKAGES = ['nginx-light', 'haproxy', 'nghttp2-client', 'nghttp2-server', 'openssl'] as const
