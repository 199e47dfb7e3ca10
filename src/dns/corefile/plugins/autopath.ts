import { isWithin } from '../../names.ts'
import type { Token } from '../lexer.ts'
import { args, once, plain } from '../options.ts'
import { quote } from '../problem.ts'
import { resolvConf } from '../resolvconf.ts'
import type { Parse, Sets, Setting } from '../setting.ts'
import type { Statement } from '../statement.ts'
import type { Autopath, Step } from '../step.ts'
import { zonesOr } from '../value.ts'

/** `autopath [ZONE...] RESOLV-CONF|@kubernetes` */
export const autopath: Parse = (directives, setting) => {
  const { problems, zones } = setting
  const directive = once(directives, problems)
  plain(directive, problems)
  const last = (args(directive, 1, Infinity, problems) ?? []).at(-1)
  if (last === undefined) return null
  const own = [...zonesOr(directive.args.slice(0, -1), zones, problems)]
  if (last.text.startsWith('@')) {
    if (last.text !== '@kubernetes')
      return problems.report(last, `${quote(last.text)} knows of no pods`, 'write @kubernetes, or name a resolv.conf')
    // What a pod searches behind the domains of the cluster is what its node searches, as this process does.
    const node = setting.access.read(RESOLV_CONF)
    const search = 'text' in node ? (resolvConf({ ...last, text: RESOLV_CONF }, setting)?.search ?? []) : []
    return { plugin: 'autopath', zones: own, search: [...search], pods: { set: '', zones: [] } }
  }
  const found = searchOf(last, setting)
  return found && { plugin: 'autopath', zones: own, search: [...found], pods: null }
}

/** Tells an `autopath @kubernetes` of these steps about the `kubernetes` beside it: only that one knows pods. */
export function withPods(
  steps: readonly Step[],
  at: Statement | undefined,
  { sets, problems, warnings }: Pick<Setting, 'sets' | 'problems' | 'warnings'>,
): readonly Step[] {
  const step = steps.find(({ plugin }) => plugin === 'autopath')
  if (at === undefined || step?.plugin !== 'autopath' || step.pods === null) return steps
  const kubernetes = steps.find(({ plugin }) => plugin === 'kubernetes')
  const others = steps.filter((it) => it !== step)
  if (kubernetes?.plugin !== 'kubernetes') {
    problems.report(
      at.name,
      'there is no kubernetes in this server',
      'write kubernetes, with pods verified, in its block',
    )
    return others
  }
  if (sets.kubernetes.find(({ set }) => set === kubernetes.set)?.options.pods !== 'verified') {
    warnings.report(at.name, 'only pods that are verified are known by address', 'write pods verified in kubernetes')
    return others
  }
  const pods = podsOf(kubernetes.set, kubernetes.zones, sets)
  return steps.map((it) => (it === step ? { ...step, pods } : it))
}

function podsOf(set: string, zones: readonly string[], sets: Sets): Autopath['pods'] {
  const names = zones.filter((zone) => !REVERSE.some((root) => isWithin(zone, root)))
  return { set: sets.addClients(set), zones: names }
}

function searchOf(file: Token, setting: Setting): readonly string[] | null {
  const found = resolvConf(file, setting)
  if (found === null || found.search.length > 0) return found?.search ?? null
  return setting.problems.report(
    file,
    `${quote(file.text)} has no search line`,
    'remove autopath, or add a search line there',
  )
}

const RESOLV_CONF = '/etc/resolv.conf'
const REVERSE = ['in-addr.arpa.', 'ip6.arpa.']
