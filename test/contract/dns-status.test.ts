/** What the DNS says of itself, controller and carrier as they ship: metrics, /health, /ready, `fairlead status`. */
import { load } from 'js-yaml'
import t, { type Test } from 'tap'
import type { DnsReport } from '../../src/status/dnsreport.ts'
import { ask } from './dns-client.ts'
import { ShippedDns, type Ports } from './dns-shipped.ts'

t.setTimeout(570_000)

const WEB = `
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { clusterIP: 10.0.0.7, ports: [{ port: 80 }] }
`
const NAME = 'web.shop.svc.cluster.local.'

/** A headless Service whose endpoint has changed just now. */
const HEADLESS = (): string => `
apiVersion: v1
kind: Service
metadata: { name: db, namespace: shop }
spec: { clusterIP: None, selector: { app: db } }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: db-1
  namespace: shop
  labels: { kubernetes.io/service-name: db }
  annotations: { endpoints.kubernetes.io/last-change-trigger-time: "${new Date().toISOString()}" }
addressType: IPv4
endpoints: [{ addresses: [10.244.0.5], conditions: { ready: true } }]
`

/** kubeadm's, on ports of its own; a second server is who is asked for other names. */
const corefile =
  (lameduck: string, upstream = (ports: Ports) => ports.other) =>
  (ports: Ports): string =>
    `.:${ports.dns} {
  bind 127.0.0.1
  errors
  health 127.0.0.1:${ports.health} {
    lameduck ${lameduck}
  }
  ready 127.0.0.1:${ports.ready}
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    pods insecure
    fallthrough in-addr.arpa ip6.arpa
    ttl 30
  }
  prometheus 127.0.0.1:${ports.metrics}
  forward . 127.0.0.1:${upstream(ports)} {
    max_concurrent 1000
    max_fails 1
  }
  cache 30 {
    disable success cluster.local
  }
  loop
  reload 2s 1s
  loadbalance
}
.:${ports.other} {
  bind 127.0.0.1
  hosts {
    192.0.2.1 outside.example
  }
}
`

/** Of CoreDNS's own dashboard (Grafana 14981, as in its mixin), and of its README files: name, type and labels. */
const METRICS: readonly (readonly [name: string, type: string, labels: string])[] = [
  ['coredns_dns_requests_total', 'counter', 'family proto server type view zone'],
  ['coredns_dns_do_requests_total', 'counter', 'server view zone'],
  ['coredns_dns_request_duration_seconds', 'histogram', 'server view zone'],
  ['coredns_dns_request_size_bytes', 'histogram', 'proto server view zone'],
  ['coredns_dns_response_size_bytes', 'histogram', 'proto server view zone'],
  ['coredns_dns_responses_total', 'counter', 'plugin rcode server view zone'],
  ['coredns_cache_entries', 'gauge', 'server type view zones'],
  ['coredns_cache_hits_total', 'counter', 'server type view zones'],
  ['coredns_cache_evictions_total', 'counter', 'server type view zones'],
  ['coredns_cache_misses_total', 'counter', 'server view zones'],
  ['coredns_cache_requests_total', 'counter', 'server view zones'],
  ['coredns_cache_prefetch_total', 'counter', 'server view zones'],
  ['coredns_cache_drops_total', 'counter', 'server view zones'],
  ['coredns_cache_served_stale_total', 'counter', 'server view zones'],
  ['coredns_proxy_request_duration_seconds', 'histogram', 'proxy_name rcode to'],
  ['coredns_proxy_healthcheck_failures_total', 'counter', ''],
  ['coredns_proxy_conn_cache_hits_total', 'counter', ''],
  ['coredns_proxy_conn_cache_misses_total', 'counter', 'proto proxy_name to'],
  ['coredns_forward_healthcheck_broken_total', 'counter', ''],
  ['coredns_forward_max_concurrent_rejects_total', 'counter', ''],
  ['coredns_health_request_duration_seconds', 'histogram', ''],
  ['coredns_health_request_failures_total', 'counter', ''],
  ['coredns_panics_total', 'counter', ''],
  ['coredns_plugin_enabled', 'gauge', 'name server view zone'],
  ['coredns_build_info', 'gauge', 'goversion revision version'],
  ['coredns_reload_failed_total', 'counter', ''],
  ['coredns_reload_version_info', 'gauge', 'hash value'],
  ['coredns_kubernetes_dns_programming_duration_seconds', 'histogram', 'service_kind'],
]

t.test('metrics, as dashboards of CoreDNS want them', async (t) => {
  const dns = await started(t, corefile('0s'))
  const { ports } = dns
  const scrape = async (): Promise<string> => (await dns.get(ports.metrics, '/metrics'))?.text ?? ''
  const value = (text: string, line: string): number =>
    Number(
      text
        .split('\n')
        .find((each) => each.startsWith(`${line} `))
        ?.slice(line.length) ?? NaN,
    )
  await dns.see(
    'names are there',
    () => ask(ports.dns, NAME),
    ({ addresses }) => addresses[0] === '10.0.0.7',
  )
  // Who is asked may be slow at first.
  await dns.see(
    'names of others are there',
    () => ask(ports.dns, 'outside.example.'),
    ({ rcode, addresses }) => rcode === 0 && addresses.join() === '192.0.2.1',
  )
  await ask(ports.dns, 'outside.example.')
  dns.manifest('db.yaml', HEADLESS())
  const text = await dns.see('both are scraped', scrape, (text) => /^coredns_kubernetes_dns_programming/m.test(text))
  for (const [name, type, labels] of METRICS) {
    t.equal(new RegExp(`^# TYPE ${name} (.*)$`, 'm').exec(text)?.[1], type, name)
    if (labels !== '') t.strictSame(labelsOf(text, name), [labels], name)
  }
  for (const line of text.split('\n')) t.match(line, SAMPLE, 'is no line of Prometheus')
  const programmed = 'coredns_kubernetes_dns_programming_duration_seconds_count'
  t.equal(value(text, `${programmed}{service_kind="headless_with_selector"}`), 1)
  const server = `server="dns://127.0.0.1:${ports.dns}"`
  for (const name of ['errors', 'kubernetes', 'forward', 'cache', 'loop', 'loadbalance', 'prometheus'])
    t.equal(value(text, `coredns_plugin_enabled{${server},zone=".",view="",name="${name}"}`), 1, name)
  t.notMatch(text, new RegExp(`coredns_plugin_enabled.*(name="health"|:${ports.other}")`))
  // How many exactly, Rust tests tell: datagrams are sent again here.
  const hits = (text: string) => value(text, `coredns_cache_hits_total{${server},zones=".",type="success",view=""}`)
  t.ok(hits(text) > 0)
  // What was kept may have come to its end meanwhile.
  await dns.see(
    'it is kept',
    () => dns.command('dns', 'query', 'outside.example', '--address', dns.socket, '-o', 'json'),
    ({ code, text }) => code === 0 && /"plugin": "cache"/.test(text),
  )
  await dns.see('who asks by hand is a client, too', scrape, (later) => hits(later) > hits(text))
  await dns.see(
    'it looks at itself',
    scrape,
    (text) => value(text, 'coredns_health_request_duration_seconds_count') > 0,
  )
  t.equal(value(text, 'coredns_panics_total'), 0)
})

t.test('/health and /ready', async (t) => {
  const dns = await started(t, corefile('600s'))
  const { ports } = dns
  await dns.see(
    'ready',
    () => dns.ready(),
    (page) => page?.status === 200 && page.text === 'OK',
  )
  t.strictSame(await dns.health(), { status: 200, text: 'OK' })
  t.match(await dns.get(ports.ready, '/health'), { status: 404 }, 'each on its port')
  dns.carrier.kill('SIGTERM')
  await dns.see(
    'it is told to end',
    () => dns.ready(),
    (page) => page?.status === 503 && page.text === 'shutting down',
  )
  t.strictSame(await dns.health(), { status: 200, text: 'OK' }, 'nobody is to restart it')
  t.strictSame(await ask(ports.dns, NAME), { rcode: 0, addresses: ['10.0.0.7'] }, 'lame ducks answer')
  const ended = new Promise((done) => dns.carrier.once('exit', done))
  dns.carrier.kill('SIGTERM')
  t.equal(await ended, 0, 'at once, when told again')

  dns.corefile(corefile('1s')(ports))
  dns.startCarrier()
  await dns.see(
    'another lameduck time',
    () => dns.ready(),
    (page) => page?.status === 200,
  )
  await dns.see(
    'is in force',
    () => report(dns),
    (report) => report?.corefile.error === null,
  )
  await dns.killController()
  dns.startController(['--api-server', 'http://127.0.0.1:1'])
  t.equal((await dns.ready())?.status, 200, 'what is on the disk is good enough')
})

t.test('not ready without names', async (t) => {
  const dns = await started(t, corefile('1s'))
  await dns.killController()
  await dns.killCarrier()
  dns.forget()
  dns.startCarrier()
  dns.startController(['--api-server', 'http://127.0.0.1:1'])
  await dns.see(
    'it says what it waits for',
    () => dns.ready(),
    (page) => page?.status === 503 && page.text === 'kubernetes',
  )
  t.equal((await dns.health())?.status, 200)
  const ended = new Promise((done) => dns.carrier.once('exit', done))
  dns.carrier.kill('SIGTERM')
  t.equal(await ended, 0, 'it ends when the lameduck time is over')
})

t.test('fairlead status', async (t) => {
  const dns = await started(t, corefile('0s'))
  const { ports } = dns
  const status = (...words: string[]) => dns.command('status', '--dns', dns.socket, ...words)
  const isWell = ({ code, text }: { code: number; text: string }): boolean =>
    code === 0 && / names +[1-9]/.test(text) && / servers +2 /.test(text)
  const well = await dns.see('all is said', () => status(), isWell)
  t.match(
    well.text,
    /^DNS +SYNCED +CONTROLLER +WORKER +STARTS +UPSTREAMS +READERS +MEMORY +UP\n.*sock +yes +connected +\d+ +1 +1 +0 /,
  )
  await dns.see(
    'more is said',
    () => status('-o', 'wide'),
    ({ code, text }) => code === 0 && /COREFILE\n.* [0-9a-f]{12}\n/.test(text),
  )
  const yaml = await status('-o', 'yaml')
  t.match(load(yaml.text), [
    { dns: dns.socket, corefile: { error: null }, carrier: { synced: true, worker: { starts: 1 } } },
  ])
  t.match((await report(dns))?.controller, { node: 'dns-0', healthy: true })

  dns.corefile(corefile('0s', () => 1)(ports) + '. {\n  kubernets\n}\n')
  const told = /to look at:\n.*the Corefile cannot be used, what was in force stays: .*Corefile:\d+:\d+: .*\n$/
  await dns.see(
    'a wrong Corefile',
    () => status(),
    ({ code, text }) => code === 1 && told.test(text),
  )
  await dns.see(
    'what was in force stays',
    () => ask(ports.dns, 'outside.example.'),
    ({ rcode, addresses }) => rcode === 0 && addresses.join() === '192.0.2.1',
  )
  dns.corefile(corefile('0s', () => 1)(ports))
  await dns.see(
    'nobody is there to ask',
    () => ask(ports.dns, 'gone.example.'),
    ({ rcode }) => rcode === 2,
  )
  await dns.see(
    'it is down',
    () => status(),
    ({ text }) => text.includes('upstreams are down: 127.0.0.1:1'),
  )
  await dns.see(
    'which failed is counted',
    async () => labelsOf((await dns.get(ports.metrics, '/metrics'))?.text ?? '', FAILURES),
    (labels) => labels.join() === 'proxy_name to',
  )
  await dns.killCarrier()
  await dns.see(
    'the carrier is gone',
    () => status(),
    ({ text }) => /no carrier +- .*no carrier: /s.test(text),
  )
  await dns.killController()
  t.match(await status(), { code: 1, text: /its controller does not answer/ })
})

async function started(t: Test, corefile: (ports: Ports) => string): Promise<ShippedDns> {
  const dns = await ShippedDns.make(t, corefile)
  dns.manifest('web.yaml', WEB)
  dns.startCarrier()
  dns.startController()
  return dns
}

async function report(dns: ShippedDns): Promise<DnsReport | null> {
  const { text } = await dns.command('status', '--dns', dns.socket, '-o', 'json')
  const [first] = JSON.parse(text) as [DnsReport | { error: string }]
  return 'controller' in first ? first : null
}

/** The different sets of labels that a metric has, but for those of buckets. */
function labelsOf(text: string, name: string): string[] {
  const lines = text.split('\n').filter((line) => new RegExp(`^${name}(_bucket|_sum|_count)?[{ ]`).test(line))
  const names = (line: string): string =>
    [...line.matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)]
      .map(([, label]) => label!)
      .filter((label) => label !== 'le')
      .sort()
      .join(' ')
  return [...new Set(lines.map(names))]
}

const FAILURES = 'coredns_proxy_healthcheck_failures_total'
const SAMPLE = /^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="([^"\\]|\\.)*",?)*\})? [-+.\dNInfe]+|)$/
