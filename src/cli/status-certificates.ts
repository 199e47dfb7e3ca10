/** The part of `fairlead status` that is about certificates of ACME servers: of an ingress controller that leads. */
import type { Report } from '../status/report.ts'
import { columns } from './columns.ts'
import { more } from './status-report.ts'

export function printCertificates(
  reports: readonly Report[],
  write: (text: string) => void,
  { colour }: { readonly colour: boolean },
): void {
  const all = reports.flatMap(({ certificates }) => certificates?.first ?? [])
  if (all.length === 0) return
  write('\n')
  columns(['CERTIFICATE', 'INGRESS', 'ISSUER', 'UNTIL', 'NOW'], write, colour).print(
    all.map(({ secret, ingress, issuer, notAfter, step }) => [secret, ingress, issuer, notAfter ?? 'not there', step]),
  )
  for (const { certificates } of reports)
    for (const line of more('certificates', certificates ?? NONE)) write(`${line}\n`)
}

const NONE = { count: 0, first: [] }
