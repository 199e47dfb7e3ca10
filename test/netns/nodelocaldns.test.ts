/**
 * The Corefile of Kubernetes' NodeLocal DNSCache, as its manifest has it filled in, and who it asks:
 *
 *     n1: 169.254.20.10, 10.96.0.10 (the Corefile) ──TCP──> n2: 10.96.0.11 (the cluster's DNS)
 *                          └──/etc/resolv.conf──> outside: 172.30.0.1
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { enterWorld, inside, ip } from './world.ts'
await enterWorld()

import { DnsServer } from './dnsserver.ts'
import { buildNodes, NODES } from './topology.ts'
import { until } from './waiting.ts'

const folder = mkdtempSync(join(tmpdir(), 'fairlead-nodelocaldns-'))
const COREFILE = join(import.meta.dirname, '../unit/dns-corefile/nodelocal.corefile')
const [LINK_LOCAL, SERVICE, UPSTREAM] = ['169.254.20.10', '10.96.0.10', '10.96.0.11']
const servers: DnsServer[] = []
t.setTimeout(570_000)
t.jobs = 1
t.bail = true // each needs the first
t.teardown(async () => {
  for (const server of servers) await server.kill()
  rmSync(folder, { recursive: true, force: true })
})

const MANIFESTS = `
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7, "fd00:10:96::7"], ports: [{ name: http, port: 80 }] }
`
const WEB = 'web.shop.svc.cluster.local'

/** What `dig` prints of the answer, a line a record. */
async function dig(server: string, ...words: readonly string[]): Promise<string> {
  const told = await inside('n1', 'dig', '+short', '+tries=4', '+time=5', `@${server}`, ...words)
  return told.trim()
}

/** The response code. */
async function status(server: string, name: string): Promise<string> {
  const told = await inside('n1', 'dig', '+tries=4', '+time=5', `@${server}`, name)
  return /status: (\w+)/.exec(told)?.[1] ?? told
}

async function page(where: string, url: string): Promise<string> {
  return inside(where, 'curl', '-s', '-m', '20', url)
}

/** Of the samples whose text has all of these. */
const sum = (metrics: string, ...parts: readonly string[]): number =>
  metrics
    .split('\n')
    .filter((line) => !line.startsWith('#') && parts.every((part) => line.includes(part)))
    .reduce((all, line) => all + Number(line.slice(line.lastIndexOf(' '))), 0)

t.test('it starts where its addresses are', async () => {
  await buildNodes()
  await ip(
    `addr add ${LINK_LOCAL}/32 dev lo`,
    `addr add ${SERVICE}/32 dev lo`,
    `-n n2 addr add ${UPSTREAM}/32 dev lo`,
    `route add ${UPSTREAM}/32 via ${NODES.n2}`,
  )
  const manifests = join(folder, 'manifests')
  mkdirSync(manifests)
  writeFileSync(join(manifests, 'web.yaml'), MANIFESTS)
  const kubernetes = 'kubernetes cluster.local in-addr.arpa ip6.arpa {\nttl 30\n}'
  const cluster = `.:53 {\nbind ${UPSTREAM}\n${kubernetes}\nprometheus 127.0.0.1:9153\n}\n`
  servers.push(new DnsServer({ folder, namespace: 'n2', corefile: cluster, directory: manifests }))
  const outside = `.:53 {\nbind ${NODES.outside}\nhosts {\n198.51.100.7 www.example.org\n}\n}\n`
  servers.push(new DnsServer({ folder, namespace: 'outside', corefile: outside }))
  // Of this world alone: its mounts are its own.
  const resolvers = join(folder, 'resolv.conf')
  writeFileSync(resolvers, `nameserver ${NODES.outside}\n`)
  await inside('n1', 'mount', '--bind', resolvers, '/etc/resolv.conf')
  servers.push(new DnsServer({ folder, namespace: 'n1', corefile: readFileSync(COREFILE, 'utf8') }))
  // Until they listen, and the cluster's has its names.
  const answers = (name: string, ip: string) => async () => (await dig(LINK_LOCAL, name).catch(() => '')) === ip
  await until('names of the cluster', answers(WEB, '10.96.0.7'))
  await until('names of others', answers('www.example.org', '198.51.100.7'))
})

t.test('names of the cluster, over UDP and TCP, at both addresses', async (t) => {
  for (const server of [LINK_LOCAL, SERVICE])
    for (const how of ['+notcp', '+tcp']) {
      t.equal(await dig(server, how, WEB), '10.96.0.7')
      t.equal(await dig(server, how, WEB, 'AAAA'), 'fd00:10:96::7')
      t.equal(await dig(server, how, `_http._tcp.${WEB}`, 'SRV'), `0 50 80 ${WEB}.`)
    }
  t.equal(await status(LINK_LOCAL, 'nobody.shop.svc.cluster.local'), 'NXDOMAIN')
})

t.test('reverse names', async (t) => {
  t.equal(await dig(LINK_LOCAL, '-x', '10.96.0.7'), `${WEB}.`)
  t.equal(await dig(SERVICE, '-x', 'fd00:10:96::7'), `${WEB}.`)
  t.equal(await status(LINK_LOCAL, '9.9.9.10.in-addr.arpa'), 'NXDOMAIN')
})

t.test('names of others, by /etc/resolv.conf', async (t) => {
  for (const server of [LINK_LOCAL, SERVICE]) t.equal(await dig(server, 'www.example.org'), '198.51.100.7')
})

t.test('the cluster is asked over TCP only, as `force_tcp` says', async (t) => {
  const metrics = await page('n2', 'http://127.0.0.1:9153/metrics')
  const requests = `coredns_dns_requests_total{server="dns://${UPSTREAM}:53"`
  t.ok(sum(metrics, requests, 'proto="tcp"') > 0)
  t.equal(sum(metrics, requests, 'proto="udp"'), 0)
})

t.test('/health at its own address only', async (t) => {
  t.equal(await page('n1', `http://${LINK_LOCAL}:8080/health`), 'OK')
  await t.rejects(page('n1', 'http://127.0.0.1:8080/health'))
})

t.test('metrics by server and zone, as the ones of NodeLocal DNSCache', async (t) => {
  await dig(LINK_LOCAL, WEB)
  const metrics = await page('n1', 'http://127.0.0.1:9253/metrics')
  for (const zone of ['cluster.local.', 'in-addr.arpa.', 'ip6.arpa.', '.'])
    t.ok(sum(metrics, 'coredns_plugin_enabled{', `zone="${zone}"`, 'name="forward"') === 2, zone)
  for (const server of [LINK_LOCAL, SERVICE])
    for (const zone of ['cluster.local.', '.'])
      t.ok(
        sum(metrics, 'coredns_dns_requests_total{', `server="dns://${server}:53"`, `zone="${zone}"`) > 0,
        `${server} ${zone}`,
      )
  t.ok(sum(metrics, 'coredns_cache_hits_total{', `zones="cluster.local."`, 'type="success"') > 0)
  t.ok(sum(metrics, 'coredns_proxy_request_duration_seconds_count{', `to="${UPSTREAM}:53"`) > 0)
  t.ok(sum(metrics, 'coredns_proxy_request_duration_seconds_count{', `to="${NODES.outside}:53"`) > 0)
})
