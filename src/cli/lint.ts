/** `fairlead lint`: what of Ingresses in files is honoured, changed or refused, before anything serves them. */
import type { Command } from 'commander'
import { describeProblem, readManifests, type Manifest } from '../cluster/manifest.ts'
import { columns, wantsColour } from './columns.ts'
import { Failure } from './failure.ts'
import { lint, type Finding, type Report } from './lint-report.ts'

export interface LintOptions {
  readonly configmap?: string
  readonly output: string
  readonly quiet: boolean
}

export function register(program: Command): void {
  program
    .command('lint')
    .description('what of an Ingress is honoured, changed or refused')
    .argument('<file...>', 'YAML or JSON files, and folders of them')
    .option('--configmap <ns/name>', 'the one of these files that holds the settings of ingress-nginx')
    .option('-o, --output <format>', 'text or json', 'text')
    .option('-q, --quiet', 'only what is changed or refused', false)
    .addHelpText('after', EXAMPLES)
    .action(run)
}

async function run(paths: readonly string[], options: LintOptions): Promise<void> {
  if (!['text', 'json'].includes(options.output)) throw new Failure(`--output ${options.output}: write text or json`, 2)
  const { objects, problems, broken } = await readManifests(paths)
  for (const problem of problems) process.stderr.write(`fairlead: ${describeProblem(problem)}\n`)
  if (broken) process.exitCode = 2
  const report = lint(objects, options.configmap ?? null)
  if (!report.objects.some(({ object }) => object.startsWith('Ingress')))
    throw new Failure('these files have no Ingress: name files that do', 2)
  if (options.output === 'json') process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
  else print(report, objects, options.quiet)
  if (report.refused > 0) process.exitCode ??= 1
}

function print(report: Report, manifests: readonly Manifest[], isQuiet: boolean): void {
  const places = new Map(manifests.map(({ object, file, line }) => [object, `${file}:${line}`]))
  const colour = wantsColour()
  for (const { object, raw, findings } of report.objects) {
    const shown = findings.filter(({ verdict }) => !isQuiet || verdict !== 'honoured')
    if (shown.length === 0 && isQuiet) continue
    process.stdout.write(`${object}   ${places.get(raw) ?? ''}\n`)
    if (shown.length === 0) process.stdout.write('  honoured as it stands\n')
    else {
      const table = columns(['  VERDICT', 'WHAT', 'WHY'], (text) => process.stdout.write(text), colour)
      table.print(shown.map(lineOf))
    }
    process.stdout.write('\n')
  }
  const { honoured, changed, refused } = report
  process.stdout.write(
    `${report.objects.length} objects: ${honoured} honoured, ${changed} changed, ${refused} refused\n`,
  )
}

const lineOf = ({ verdict, what, reason }: Finding): string[] => [`  ${verdict}`, what, reason]

const EXAMPLES = `
Exit codes: 0 all is honoured, perhaps in another way; 1 something is refused; 2 it was called wrongly, or a file cannot be read.
Services, Secrets and ConfigMaps that are named and not in the files are taken to be there.

Examples:
  fairlead lint ingress.yaml
  fairlead lint -q manifests/                        in CI: what would be different
  kubectl get ingress -A -o yaml > all.yaml; fairlead lint all.yaml
  fairlead lint all.yaml settings.yaml --configmap ingress-nginx/ingress-nginx-controller`
