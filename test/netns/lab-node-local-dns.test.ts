/** Node-local DNS in the lab: a DaemonSet with the shipped programs, which the agent of each node sends queries to. */
import t from 'tap'
import { cannot, everybody, LabRun, until } from './labrun.ts'

t.setTimeout(570_000)

for (const who of everybody) {
  t.test(`as ${who}`, { skip: cannot(who) }, async (t) => {
    const lab = new LabRun(who, {})
    t.teardown(() => lab.remove())
    const up = ['up', '--detach', '--nodes', '2', '--node-local-dns']
    t.match(await lab.cli(...up), { kind: 'done', stdout: /programmed its services/ })
    t.match(await lab.inside('deploy/web', 'cat', '/etc/resolv.conf'), /^nameserver 169\.254\.20\.10$/m)
    const answers = async (): Promise<boolean> =>
      (await lab.cli('exec', 'deploy/web', '--', 'getent', 'hosts', 'api')).kind === 'done'
    const served = async (node: string): Promise<string> => {
      const listed = await lab.cli('exec', node, '--', 'nft', 'list', 'set', 'inet', 'fairlead_nodelocal', 'served4')
      return listed.kind === 'done' ? listed.stdout : ''
    }
    const isServed = async (): Promise<boolean> =>
      (await Promise.all(['node/n1', 'node/n2'].map(served))).every((text) => text.includes('169.254.20.10'))
    await until(isServed, 'each node answers its own pods', lab)
    t.ok(await answers())
    t.match(await lab.cli('scale', '-n', 'kube-system', 'deploy/coredns', '--replicas', '0'), { kind: 'done' })
    t.ok(await answers(), 'with no other server left')
    t.match(await lab.cli('scale', '-n', 'kube-system', 'deploy/coredns', '--replicas', '1'), { kind: 'done' })
    t.match(await lab.cli('delete', 'ds', 'node-local-dns', '-n', 'kube-system'), { kind: 'done' })
    await until(async () => !(await isServed()), 'they are gone', lab)
    await until(answers, "the cluster's answers", lab)
  })
}
