/** Whoever of the cluster in a box is killed: nothing of it is left. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cannot, everybody, LabRun, leftOf, marks, tree, until } from './labrun.ts'

t.setTimeout(570_000)

const example = new URL('../../src/lab/example', import.meta.url).pathname

for (const victim of ['outer', 'holder', 'init', 'lab'] as const) {
  for (const who of everybody) {
    t.test(`nothing is left after kill -9 of ${victim}, as ${who}`, { skip: cannot(who) }, async (t) => {
      const before = marks()
      const lab = new LabRun(who)
      t.teardown(() => lab.remove())
      const child = await lab.foreground(join(example, 'api.yaml'))
      const { initPid } = lab.record
      const all = tree(child.pid!)
      t.ok(all.pids.size > 10, `${all.pids.size} processes`)
      const pid = { outer: child.pid!, holder: parentOf(initPid), init: initPid, lab: childOf(initPid) }[victim]
      process.kill(pid, 'SIGKILL')
      await until(() => leftOf(all).length === 0, `all has ended, but ${leftOf(all).join('\n')}`)
      t.same(marks(), before, 'no mount, no name')
      t.match(await lab.cli('get', 'pods'), { kind: 'failed', stderr: /no cluster is running/ })
    })
  }
}

function parentOf(pid: number): number {
  return Number(/PPid:\t(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])
}

function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0])
}
