import { remedyOf, type Access } from './access.ts'
import type { Source } from './configuration.ts'
import { hostsRows } from './hostsfile.ts'
import { Problems } from './problem.ts'
import type { FileRow } from './record.ts'
import { zoneRows } from './zonefile.ts'

/**
 * The rows of a source as its file is now. Problems leave the set as it was before. A file that is not there may come yet:
 * until then a hosts file is empty, and a zone not loaded. Lines of a hosts file that cannot be used are warnings, as with
 * every resolver.
 */
export function rowsOf(source: Source, access: Access, problems: Problems, warnings: Problems): readonly FileRow[] {
  const content = access.read(source.path)
  const at = { file: source.path, line: 1, column: 1 }
  if (source.kind === 'file') {
    if ('text' in content) return zoneRows(content.text, source, problems, warnings)
    const later = source.reloadMs > 0 ? warnings : problems
    later.report(at, ...remedyOf(content, source.path))
    return []
  }
  if (!('text' in content)) warnings.report(at, ...remedyOf(content, source.path))
  return hostsRows('text' in content ? content.text : '', source, warnings)
}
