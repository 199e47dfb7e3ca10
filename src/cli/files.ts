/** Objects from `-f FILE|DIR|-`, for apply and delete. */
import { text } from 'node:stream/consumers'
import { describeProblem, parseManifest, readManifests, type Manifest } from '../cluster/manifest.ts'
import { Failure } from './failure.ts'

/** Throws a Failure that names each file and line at fault; with one broken file nothing is returned: all or none. */
export async function objectsFrom(paths: readonly string[]): Promise<readonly Manifest[]> {
  const fromStdin = paths.includes('-') ? [parseManifest(await text(process.stdin), '(standard input)')] : []
  const files = paths.filter((path) => path !== '-')
  const reads = [...(files.length > 0 ? [await readManifests(files)] : []), ...fromStdin]
  const problems = reads.flatMap((read) => read.problems)
  if (problems.length > 0)
    throw new Failure(`nothing was changed:\n${problems.map((p) => `  ${describeProblem(p)}`).join('\n')}`)
  const objects = reads.flatMap((read) => read.objects)
  if (objects.length === 0) throw new Failure(`no objects in ${paths.join(', ')}`)
  return objects
}

/** For commander: collects a repeatable option. */
export const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value]
