/**
 * The lab's view of the file system. The lab is in a mount namespace of its own, so nothing here is seen by the machine.
 * /run becomes private: `ip netns` keeps its names there.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { run } from './command.ts'

/** For PID 1's mount namespace. `place` stays visible at its own path although /run is covered. */
export async function coverRun(place: string): Promise<void> {
  await tmpfsOverRun(place, [])
}

/** For a node's: /run, /etc and /var/lib of its own; `enter` leads into the node's namespaces. */
export async function coverNode(place: string, enter: readonly string[]): Promise<void> {
  await tmpfsOverRun(place, enter)
  // Writes to /etc (cni/net.d) and /var/lib (cni, the agent's last copy) stay in the node, on top of the machine's own
  // files. An overlay, not a tmpfs on the folder itself: without root a folder that is missing could not be made.
  for (const path of ['/etc', '/var/lib']) {
    const upper = `/run/over${path.replaceAll('/', '-')}`
    await run([...enter, 'mkdir', '-p', `${upper}/upper`, `${upper}/work`])
    const options = `lowerdir=${path},upperdir=${upper}/upper,workdir=${upper}/work`
    await run([...enter, 'mount', '-n', '-t', 'overlay', 'fairlead', '-o', options, path])
  }
}

async function tmpfsOverRun(place: string, enter: readonly string[]): Promise<void> {
  // The new /run is built inside `place` and moved over: no other folder of the machine is needed for it.
  const stage = join(place, 'run')
  if (!existsSync(stage)) mkdirSync(stage)
  await run([...enter, 'mount', '-n', '-t', 'tmpfs', '-o', 'mode=755', 'fairlead', stage])
  const below = relative('/run', place)
  if (!below.startsWith('..')) {
    await run([...enter, 'mkdir', '-p', join(stage, below)])
    await run([...enter, 'mount', '-n', '--bind', place, join(stage, below)])
  }
  await run([...enter, 'mount', '-n', '--move', stage, '/run'])
}
