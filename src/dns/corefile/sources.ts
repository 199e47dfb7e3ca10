import { remedyOf, type Access } from './access.ts'
import type { Source } from './configuration.ts'
import { hostsRows } from './hostsfile.ts'
import { Problems } from './problem.ts'
import type { FileRow } from './record.ts'
import { zoneRows } from './zonefile.ts'

/**
 * The rows of a source as its file is now. Problems leave the set as it was before; a hosts file that is not there is empty,
 * and lines of it that cannot be used are warnings, as with every resolver.
 */
export function rowsOf(source: Source, access: Access, problems: Problems, warnings: Problems): readonly FileRow[] {
  const content = access.read(source.path)
  const at = { file: source.path, line: 1, column: 1 }
  if (source.kind === 'file') {
    if ('text' in content) return zoneRows(content.text, source, problems, warnings)
    problems.report(at, ...remedyOf(content, source.path))
    return []
  }
  if (!('text' in content)) warnings.report(at, ...remedyOf(content, source.path))
  return hostsRows('text' in content ? content.text : '', source, warnings)
}
