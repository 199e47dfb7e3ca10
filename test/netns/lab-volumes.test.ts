/** Volumes of the lab's pods: ConfigMaps and Secrets as files that follow the object, folders that containers of a pod share. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { cannot, everybody, LabRun, until } from './labrun.ts'

t.setTimeout(570_000)
const folder = mkdtempSync(join(tmpdir(), 'fairlead-volumes-'))
chmodSync(folder, 0o755)
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

for (const who of everybody) {
  t.test(`as ${who}`, { skip: cannot(who) }, async (t) => {
    const lab = new LabRun(who)
    t.teardown(() => lab.remove())
    const file = join(folder, `${who}.yaml`)
    writeFileSync(file, pod('one', 'a', 'b'))
    t.match(await lab.cli('up', '--detach', '--nodes', '1', file), { kind: 'done', stdout: /The cluster is up/ })
    const read = (path: string): Promise<string> => lab.inside('pod/p', 'cat', path)
    t.equal(await read('/etc/settings/greeting'), 'one')
    t.equal(await read('/etc/keys/deep/key'), 'secret')
    t.equal(await read('/etc/only-this'), 'one', 'a single file')
    t.equal(await read('/run/shared/said'), 'by the writer\n', 'what another container of the pod wrote')
    t.match(await lab.cli('exec', 'pod/p', '--', 'touch', '/etc/settings/new'), { kind: 'failed', stderr: /Read-only/ })
    t.match(
      await lab.cli('exec', 'pod/q', '--', 'ls', '/run/shared'),
      { kind: 'done', stdout: '' },
      'another pod has its own',
    )

    writeFileSync(file, pod('two', 'c', 'b'))
    await until(async () => (await read('/etc/settings/greeting')) === 'two', 'a change is seen', lab)
    t.equal(
      (await lab.inside('pod/p', 'ls', '/etc/settings')).trim().split('\n').join(' '),
      'b c greeting',
      'keys come and go',
    )
    t.equal(await read('/etc/only-this'), 'one', 'a single file stays as it was when the container started')

    const waits = join(folder, `${who}-waits.yaml`)
    writeFileSync(waits, WAITS)
    t.match(await lab.cli('apply', '-f', waits), { kind: 'done' })
    const phase = async (): Promise<string> => ((await lab.cli('get', 'pod', 'waits')) as { stdout: string }).stdout
    await until(async () => /CreateContainerConfigError/.test(await phase()), 'it waits', lab)
    const said = async (): Promise<readonly string[]> => {
      const events = await lab.json<{ items: readonly { reason: string; message: string }[] }>('events')
      return events.items.map(({ reason, message }) => `${reason}: ${message}`)
    }
    for (const line of [
      'Failed: volume settings: ConfigMap nowhere is not there',
      'VolumeNotShown: volume claim: the lab has no volumes of that kind',
      'VolumeNotShown: volume shared: /nowhere/at/all is not on this machine',
    ])
      await until(async () => (await said()).some((each) => each.startsWith(line)), `an Event says: ${line}`, lab)
  })
}

function pod(greeting: string, ...keys: readonly string[]): string {
  return `
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { greeting: ${greeting}, ${keys.map((key) => `${key}: x`).join(', ')} }
---
apiVersion: v1
kind: Secret
metadata: { name: keys }
data: { key: ${Buffer.from('secret').toString('base64')} }
---
apiVersion: v1
kind: Pod
metadata: { name: p }
spec:
  volumes:
    - { name: settings, configMap: { name: settings } }
    - { name: keys, secret: { secretName: keys, items: [{ key: key, path: deep/key }] } }
    - { name: shared, emptyDir: {} }
    - { name: claim, persistentVolumeClaim: { claimName: none } }
  containers:
    - name: reader
      command: [sleep, infinity]
      readinessProbe: { exec: { command: [test, -e, /run/shared/said] }, periodSeconds: 1 }
      volumeMounts:
        - { name: settings, mountPath: /etc/settings, readOnly: true }
        - { name: settings, mountPath: /etc/only-this, subPath: greeting }
        - { name: keys, mountPath: /etc/keys }
        - { name: shared, mountPath: /run/shared }
    - name: writer
      command: [sh, -c, 'echo by the writer > /run/mine/said; exec sleep infinity']
      volumeMounts:
        - { name: shared, mountPath: /run/mine }
        - { name: shared, mountPath: /nowhere/at/all }
        - { name: claim, mountPath: /tmp/claim }
---
apiVersion: v1
kind: Pod
metadata: { name: q }
spec:
  volumes: [{ name: shared, emptyDir: {} }]
  containers:
    - { name: c, command: [sleep, infinity], volumeMounts: [{ name: shared, mountPath: /run/shared }] }
`
}

const WAITS = `
apiVersion: v1
kind: Pod
metadata: { name: waits }
spec:
  volumes: [{ name: settings, configMap: { name: nowhere } }]
  containers:
    - { name: c, command: [sleep, infinity], volumeMounts: [{ name: settings, mountPath: /etc/settings }] }
`
