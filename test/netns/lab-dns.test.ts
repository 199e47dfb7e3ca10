/** Names in the lab: pods ask the cluster's DNS, which is the shipped controller and carrier in pods of their own. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { cannot, everybody, LabRun, until } from './labrun.ts'

t.setTimeout(570_000)
const folder = mkdtempSync(join(tmpdir(), 'fairlead-names-'))
chmodSync(folder, 0o755)
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

for (const who of everybody) {
  t.test(`as ${who}`, { skip: cannot(who) }, async (t) => {
    const lab = new LabRun(who, {})
    t.teardown(() => lab.remove())
    t.match(await lab.cli('up', '--detach', '--nodes', '2'), { kind: 'done', stdout: /programmed its services/ })
    const addresses = async (name: string): Promise<string> => {
      const answer = await lab.cli('exec', 'deploy/web', '--', 'getent', 'ahosts', name)
      if (answer.kind !== 'done') return ''
      const words = answer.stdout.split('\n').map((line) => line.split(' ')[0]!)
      return [...new Set(words.filter(Boolean))].sort().join(' ')
    }
    const service = await lab.json<{ spec: { clusterIPs: readonly string[] } }>('service', 'api')
    const own = [...service.spec.clusterIPs].sort().join(' ')
    for (const name of ['api', 'api.default', 'api.default.svc', 'api.default.svc.cluster.local.', 'API.Default'])
      t.equal(await addresses(name), own, name)
    t.equal(await addresses('nobody'), '', 'there is no such name')
    t.match(
      await lab.inside('deploy/web', 'getent', 'hosts', service.spec.clusterIPs[0]!),
      /api\.default\.svc\.cluster\.local$/m,
    )
    t.match(await addresses('store-0.store-pods'), /^10\.244\.\d+\.\d+/, 'an endpoint has its name')
    t.equal(await addresses('store-2.store-pods'), '')
    t.match(await lab.cli('scale', 'sts/store', '--replicas', '3'), { kind: 'done' })
    await until(async () => (await addresses('store-2.store-pods')) !== '', 'one that comes has one, too', lab)
    t.match(await lab.inside('deploy/web', 'curl', '-sm60', 'http://api'), /^pod: api-/, 'what is named is reached')

    const web = (await lab.json<{ items: { metadata: { name: string } }[] }>('pods', '-l', 'app=web')).items[0]!
    const query = (...words: string[]) => lab.cli('dns', 'query', ...words)
    const found = await query('api', '--from', web.metadata.name)
    t.match(found, { kind: 'done', stdout: /^api\.default\.svc\.cluster\.local\.\t30\tIN\tA\t10\./m })
    t.match(found, { stdout: /by: +kubernetes: Service default\/api$/m })
    t.match(await query('apy', '--from', `default/${web.metadata.name}`), {
      ...{ kind: 'failed', code: 2 },
      stderr:
        /before: +apy\.default\.svc\.cluster\.local\. NXDOMAIN: no Service apy in namespace default; did you mean api\?/,
    })
    t.match(await query('apy.default.svc.cluster.local'), {
      ...{ kind: 'failed', code: 1 },
      stderr: /why: +no Service apy in namespace default; did you mean api\?/,
    })

    const metrics = () => lab.inside('deploy/web', 'curl', '-sm60', 'http://kube-dns.kube-system:9153/metrics')
    const names = [
      /^coredns_dns_requests_total\{/m,
      /^coredns_reload_version_info\{hash="sha512",value="/m,
      /^coredns_kubernetes_rest_client_requests_total\{code="200",method="GET",host="/m,
      /^coredns_kubernetes_rest_client_request_duration_seconds_count\{verb="GET",host="/m,
    ]
    await until(
      async () => {
        const text = await metrics().catch(() => '')
        return names.every((name) => name.test(text))
      },
      "one scrape has the carrier's and the controller's figures",
      lab,
    )

    t.match(await lab.cli('status'), { kind: 'done', stdout: /\ncoredns-\S+ +yes +connected +\d+ +1 / })
    t.match(await lab.cli('scale', '-n', 'kube-system', 'deploy/coredns', '--replicas', '1'), { kind: 'done' })
    const servers = async (): Promise<number> => {
      const all = {
        items: [] as object[],
        ...(await lab.json<object>('pods', '-n', 'kube-system', '-l', 'k8s-app=kube-dns')),
      }
      return all.items.length
    }
    await until(async () => (await servers()) === 1, 'one server is left', lab)
    await until(async () => (await addresses('api')) === own, 'which answers', lab)

    const corefile = join(folder, `${who}.yaml`)
    const change = async (text: string): Promise<void> => {
      writeFileSync(corefile, CONFIG + text.replace(/^/gm, '    '))
      t.match(await lab.cli('apply', '-f', corefile), { kind: 'done' })
    }
    await change(
      '.:53 {\n  ready\n  kubernetes cluster.local\n  hosts {\n    192.0.2.7 seven.example\n    fallthrough\n  }\n  reload 2s 1s\n}\n',
    )
    await until(async () => (await addresses('seven.example')) === '192.0.2.7', 'another Corefile is in force', lab)
    await change('.:53 {\n  kubernets cluster.local\n  reload 2s 1s\n}\n')
    const events = async (): Promise<string> => JSON.stringify(await lab.json('events', '-n', 'kube-system'))
    await until(
      async () => /\\"kubernets\\" is no plugin: did you mean kubernetes\?/.test(await events()),
      'what is wrong is said',
      lab,
    )
    t.equal(await addresses('seven.example'), '192.0.2.7', 'and changes nothing')
    t.equal(await addresses('api'), own)
  })
}

const CONFIG = `
apiVersion: v1
kind: ConfigMap
metadata: { name: coredns, namespace: kube-system }
data:
  Corefile: |
`
