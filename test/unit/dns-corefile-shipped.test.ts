/**
 * Corefiles as they are shipped: kubeadm's (and kind's) with the zone filled in, of the Kubernetes addon, k3s, EKS, AKS, TKE,
 * OpenShift (in the cluster and of its bare metal hosts), NodeLocal DNSCache; and one with every option. native/wire reads
 * what they come to as well. `FAIRLEAD_WRITE=1` writes it.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import { parseCorefile } from '../../src/dns/corefile/corefile.ts'
import { sentence } from '../../src/dns/corefile/problem.ts'
import { access, RESOLV_CONF } from './dns-corefile-world.ts'

const FOLDER = join(import.meta.dirname, 'dns-corefile')
const FILES = {
  '/etc/resolv.conf': RESOLV_CONF,
  '/etc/hosts': '127.0.0.1 localhost\n',
  '/etc/coredns/NodeHosts': '172.18.0.2 n1\n172.18.0.3 n2\nfd00::3 n2\n',
  '/etc/coredns/custom/shop.override': 'log . {\n  class denial\n}\n',
  '/zones/db.example.org':
    '$TTL 1h\n@ SOA ns host 1 2h 30m 1d 5\n@ NS ns\n@ MX 10 mail\nns A 10.0.0.1\n@ CAA 0 issue "ca.example"\n',
  '/hosts': 'fd00::8 eight.example.org\n',
  '/etc/coredns/custom/istio.server': 'global:53 {\n  errors\n  cache 30\n  forward . 1.2.3.4\n}\n',
}

for (const path of globSync(join(FOLDER, '*.corefile')).sort()) {
  t.test(basename(path), async (t) => {
    const parsed = parseCorefile(readFileSync(path, 'utf8'), '/etc/coredns/Corefile', access(FILES))
    if ('problems' in parsed) return t.fail(parsed.problems.map(sentence).join('\n'))
    const { servers, names, kubernetes, sources, reload, warnings } = parsed
    const line = (it: unknown): string => JSON.stringify(it)
    const said = [
      ...servers.flatMap(({ listen, zones, steps }) => [
        `server ${zones.join(' ')} on ${listen.map(line).join(' ')}`,
        ...steps.map((it) => `  ${line(it)}`),
      ]),
      ...kubernetes.map((it) => `kubernetes ${line(it)}`),
      ...sources.map((it) => `source ${line(it)}`),
      ...names.map((it) => `name ${line(it)}`),
      ...warnings.map((it) => `warning ${sentence(it)}`),
      `reload ${line(reload)}`,
      '',
    ].join('\n')
    const golden = path.replace('.corefile', '.golden')
    if (process.env['FAIRLEAD_WRITE']) writeFileSync(golden, said)
    t.equal(said, readFileSync(golden, 'utf8'))
  })
}
