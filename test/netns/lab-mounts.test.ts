/** The lab on a machine that has mounts of its own where the lab covers folders: /tmp, /var/lib (docker, snaps). */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { cannot, LabRun } from './labrun.ts'

t.setTimeout(570_000)

t.test(
  'without root, mounts below /tmp',
  { skip: process.getuid!() === 0 ? cannot('nobody') : 'needs root' },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'fairlead-mounts-'))
    const mounted = join(folder, 'mounted')
    mkdirSync(mounted)
    const own = join(folder, 'own')
    writeFileSync(own, 'own file\n')
    chmodSync(own, 0o666) // that it cannot be written is the lab's doing
    const mount =
      'chmod 755 "$(dirname "$0")" && mount -t tmpfs test "$0" && echo kept >"$0/file" && chmod 666 "$0/file" && exec "$@"'
    const lab = new LabRun('nobody', undefined, ['unshare', '--mount', '--', 'sh', '-c', mount, mounted])
    t.teardown(async () => {
      await lab.remove()
      rmSync(folder, { recursive: true, force: true })
    })
    const up = await lab.cli('up', '--detach', '--nodes', '1')
    t.match(up, { kind: 'done', stdout: /The cluster is up after/ })
    t.equal(await lab.inside('node/n1', 'cat', join(mounted, 'file')), 'kept\n', 'the mount is seen')
    t.equal(await lab.inside('node/n1', 'cat', own), 'own file\n', 'so is a file beside it')
    t.match(await lab.cli('exec', 'node/n1', '--', 'touch', own), { kind: 'failed', stderr: /Read-only/ })
    t.match(await lab.cli('exec', 'node/n1', '--', 'touch', join(mounted, 'file')), {
      kind: 'failed',
      stderr: /Read-only/,
    })
    t.match(await lab.cli('exec', 'node/n1', '--', 'touch', '/tmp/new', '/etc/new', '/var/lib/new'), { kind: 'done' })
    t.match(await lab.inside('deploy/web', 'cat', '/etc/hosts'), /\tweb-/, 'pods have their own files')
  },
)
