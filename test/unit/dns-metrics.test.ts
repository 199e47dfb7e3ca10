import t from 'tap'
import { dnsMetrics, serviceKind } from '../../src/cli/dns-metrics.ts'
import type { EndpointSlice } from '../../src/cluster/endpointslice.ts'
import type { Service } from '../../src/cluster/service.ts'
import { InputTable } from '../../src/core/table.ts'
import { Metrics } from '../../src/status/metrics.ts'

t.test('endpoints are counted by the kind of their Service', async (t) => {
  const services = new InputTable<Service>('services')
  for (const [name, headless] of Object.entries({ db: true, web: false }))
    services.put(`shop/${name}`, { namespace: 'shop', name, headless } as Service)
  const kind = serviceKind(services)
  const kindOf = (service: string) => kind({ namespace: 'shop', service } as EndpointSlice)
  t.strictSame(['db', 'web', 'gone'].map(kindOf), ['headless_with_selector', 'cluster_ip', null])
})

t.test('requests to the API server', async (t) => {
  const metrics = new Metrics()
  const counted = dnsMetrics(metrics)
  const answer = { method: 'GET', host: '10.0.0.1:443', seconds: 0.02 }
  for (const status of [200, 200, 403, null]) counted.answered({ ...answer, status })
  const text = metrics.render()
  for (const [code, count] of [
    ['200', 2],
    ['403', 1],
    ['<error>', 1],
  ])
    t.match(
      text,
      `coredns_kubernetes_rest_client_requests_total{code="${code}",method="GET",host="10.0.0.1:443"} ${count}\n`,
    )
  const duration = 'coredns_kubernetes_rest_client_request_duration_seconds'
  t.match(text, `${duration}_bucket{verb="GET",host="10.0.0.1:443",le="0.01"} 0\n`)
  t.match(text, `${duration}_count{verb="GET",host="10.0.0.1:443"} 4\n`)
})

t.test('the Corefile in force, and those that could not be', async (t) => {
  const metrics = new Metrics()
  const counted = dnsMetrics(metrics)
  const shown = (name: string): readonly string[] =>
    metrics
      .render()
      .split('\n')
      .filter((line) => line.startsWith(name))
  counted.inForce('first')
  counted.inForce('second')
  t.same(shown('coredns_reload_version_info{'), ['coredns_reload_version_info{hash="sha512",value="second"} 1'])
  counted.reloadFailed()
  counted.reloadFailed()
  t.same(shown('coredns_reload_failed_total '), ['coredns_reload_failed_total 2'])
})
