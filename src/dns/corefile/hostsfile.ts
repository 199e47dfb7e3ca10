import { parseAddress } from '../../cluster/address.ts'
import { addressRecord, isWithin, reverseName } from '../names.ts'
import type { Source } from './configuration.ts'
import { parseName } from './name.ts'
import { quote, type Problems } from './problem.ts'
import type { NameRecord } from '../rows.ts'
import type { FileRow } from './record.ts'

/**
 * hosts(5): `ADDRESS NAME...`, and the lines of the Corefile after it. Names of the source's zones only; a name has all its
 * addresses, and an address, where that is wanted, all its names. `*.example.org` stands for one label.
 */
export function hostsRows(text: string, source: Source, warnings: Problems): readonly FileRow[] {
  const { set, zones, path, reverse, inline } = source
  const found = new Map<string, Map<string, NameRecord>>()
  const add = (name: string, record: NameRecord): void => {
    const records = found.get(name) ?? new Map<string, NameRecord>()
    found.set(name, records.set(JSON.stringify(record), record))
  }
  const take = (address: string, name: string): void => {
    if (!zones.some((zone) => isWithin(name, zone))) return
    add(name, addressRecord(address))
    if (reverse && !name.startsWith('*.')) add(reverseName(address), { type: 'PTR', target: name })
  }
  let count = 0
  for (const [i, line] of text.split('\n').entries()) {
    const [first, ...names] = line.replace(/#.*$/s, '').trim().split(/\s+/)
    if (first === undefined || first === '') continue
    const at = { file: path, line: i + 1, column: 1 }
    const address = parseAddress(first.replace(/%.*$/s, ''))
    if (address === null) {
      warnings.report(at, `${quote(first)} is no address; the line is left out`, 'write ADDRESS NAME...')
      continue
    }
    for (const name of names) {
      const canonical = parseName(name)
      if (canonical === null) warnings.report(at, `${quote(name)} is no name; it is left out`, 'mend it')
      else if (++count <= NAMES_MAX) take(address, canonical)
    }
  }
  if (count > NAMES_MAX) {
    const at = { file: path, line: 1, column: 1 }
    warnings.report(at, `${count - NAMES_MAX} names above ${NAMES_MAX} are left out`, 'use a zone file')
  }
  for (const { address, names } of inline) for (const name of names) take(address, name)
  return [...found].map(([name, records]) => ({ set, name, records: [...records.values()], object: path }))
}

const NAMES_MAX = 200_000
