/** What runs pods: Deployment, ReplicaSet, StatefulSet, DaemonSet, Job. Defaults of k8s.io/kubernetes/pkg/apis/{apps,batch}. */
import { cut, isObject, same, textOf, type ApiObject, type Fields } from '../object.ts'
import { labelSelector, matches } from '../selector.ts'
import { checkPodSpec, defaultPodSpec } from './pod.ts'
import { byDefault, listOf, type Problems } from './problems.ts'

export function defaultWorkload(object: ApiObject): void {
  byDefault(object, 'spec', {})
  const spec: Fields = object['spec']
  byDefault(spec, 'template', {})
  byDefault(spec['template'], 'spec', {})
  byDefault(spec['template'], 'metadata', {})
  defaultPodSpec(spec['template'].spec)
  DEFAULTS[object.kind]?.(object, spec)
}

export function checkWorkload(object: ApiObject, previous: ApiObject | null, problems: Problems): void {
  const spec: Fields = object['spec']
  checkPodSpec(spec['template'].spec, 'spec.template.spec', problems)
  problems.labels('spec.template.metadata.labels', spec['template'].metadata.labels)
  if (spec['replicas'] !== undefined) problems.whole('spec.replicas', spec['replicas'], 0, REPLICAS_MAX)
  const selector = labelSelector(spec['selector'])
  if (selector === null || selector.length === 0) {
    problems.add('spec.selector', 'is missing or empty', 'write matchLabels that the template has too')
  } else if (!matches(selector, spec['template'].metadata.labels)) {
    const labels = cut(spec['template'].metadata.labels ?? {})
    problems.add('spec.selector', `does not match the template's labels ${labels}`, 'give both the same labels')
  }
  if (previous !== null && !same(previous['spec'].selector, spec['selector'])) {
    problems.fixed('spec.selector', 'cannot change', 'delete the object and make a new one')
  }
  CHECKS[object.kind]?.(spec, previous?.['spec'] ?? null, problems)
}

const DEFAULTS: Readonly<Record<string, (object: ApiObject, spec: Fields) => void>> = {
  Deployment: (_, spec) => {
    byDefault(spec, 'replicas', 1)
    byDefault(spec, 'revisionHistoryLimit', 10)
    byDefault(spec, 'progressDeadlineSeconds', 600)
    byDefault(spec, 'strategy', {})
    byDefault(spec['strategy'], 'type', 'RollingUpdate')
    if (spec['strategy'].type !== 'RollingUpdate') return void delete spec['strategy'].rollingUpdate
    byDefault(spec['strategy'], 'rollingUpdate', {})
    byDefault(spec['strategy'].rollingUpdate, 'maxUnavailable', '25%')
    byDefault(spec['strategy'].rollingUpdate, 'maxSurge', '25%')
  },
  ReplicaSet: (_, spec) => byDefault(spec, 'replicas', 1),
  StatefulSet: (_, spec) => {
    byDefault(spec, 'replicas', 1)
    byDefault(spec, 'podManagementPolicy', 'OrderedReady')
    byDefault(spec, 'revisionHistoryLimit', 10)
    byDefault(spec, 'updateStrategy', {})
    byDefault(spec['updateStrategy'], 'type', 'RollingUpdate')
    if (spec['updateStrategy'].type !== 'RollingUpdate') return void delete spec['updateStrategy'].rollingUpdate
    byDefault(spec['updateStrategy'], 'rollingUpdate', {})
    byDefault(spec['updateStrategy'].rollingUpdate, 'partition', 0)
  },
  DaemonSet: (_, spec) => {
    byDefault(spec, 'revisionHistoryLimit', 10)
    byDefault(spec, 'updateStrategy', {})
    byDefault(spec['updateStrategy'], 'type', 'RollingUpdate')
    if (spec['updateStrategy'].type !== 'RollingUpdate') return void delete spec['updateStrategy'].rollingUpdate
    byDefault(spec['updateStrategy'], 'rollingUpdate', {})
    byDefault(spec['updateStrategy'].rollingUpdate, 'maxUnavailable', 1)
    byDefault(spec['updateStrategy'].rollingUpdate, 'maxSurge', 0)
  },
  Job: defaultJob,
}

function defaultJob(object: ApiObject, spec: Fields): void {
  byDefault(spec, 'parallelism', 1)
  byDefault(spec, 'completionMode', 'NonIndexed')
  // Without completions and with parallelism given it is a work queue (API documentation): done when one pod succeeded.
  if (spec['parallelism'] === 1) byDefault(spec, 'completions', 1)
  byDefault(spec, 'backoffLimit', 6)
  byDefault(spec, 'suspend', false)
  if (spec['manualSelector'] === true || spec['selector'] !== undefined) return
  const { uid, name } = object.metadata
  const labels = { 'batch.kubernetes.io/controller-uid': uid }
  spec['selector'] = { matchLabels: labels }
  const named = { 'batch.kubernetes.io/job-name': name, 'job-name': name, 'controller-uid': uid }
  spec['template'].metadata.labels = { ...spec['template'].metadata.labels, ...labels, ...named }
}

type Check = (spec: Fields, previous: Fields | null, problems: Problems) => void

const CHECKS: Readonly<Record<string, Check>> = {
  Deployment: (spec, _, problems) => {
    problems.oneOf('spec.strategy.type', spec['strategy'].type, ['RollingUpdate', 'Recreate'])
    const rolling: unknown = spec['strategy'].rollingUpdate
    if (!isObject(rolling)) return
    const { maxSurge, maxUnavailable } = rolling
    checkShare('spec.strategy.rollingUpdate.maxSurge', maxSurge, problems)
    checkShare('spec.strategy.rollingUpdate.maxUnavailable', maxUnavailable, problems)
    if (parseInt(textOf(maxSurge), 10) === 0 && parseInt(textOf(maxUnavailable), 10) === 0) {
      const remedy = 'allow at least one of them, or nothing could ever be replaced'
      problems.add('spec.strategy.rollingUpdate', 'maxSurge and maxUnavailable are both 0', remedy)
    }
  },
  StatefulSet: (spec, previous, problems) => {
    for (const [i, claim] of listOf(spec['volumeClaimTemplates']).entries()) {
      problems.subdomain(`spec.volumeClaimTemplates[${i}].metadata.name`, claim['metadata']?.name)
    }
    problems.oneOf('spec.podManagementPolicy', spec['podManagementPolicy'], ['OrderedReady', 'Parallel'])
    problems.oneOf('spec.updateStrategy.type', spec['updateStrategy'].type, ['RollingUpdate', 'OnDelete'])
    if (previous !== null && previous['serviceName'] !== spec['serviceName']) {
      problems.fixed('spec.serviceName', 'cannot change', 'delete the object and make a new one')
    }
  },
  DaemonSet: (spec, _, problems) => {
    problems.oneOf('spec.updateStrategy.type', spec['updateStrategy'].type, ['RollingUpdate', 'OnDelete'])
  },
  Job: (spec, previous, problems) => {
    const { template, completionMode } = spec
    problems.oneOf('spec.template.spec.restartPolicy', template.spec.restartPolicy, ['OnFailure', 'Never'])
    problems.whole('spec.parallelism', spec['parallelism'], 0, REPLICAS_MAX)
    if (spec['completions'] !== undefined) problems.whole('spec.completions', spec['completions'], 0, REPLICAS_MAX)
    problems.oneOf('spec.completionMode', completionMode, ['NonIndexed', 'Indexed'])
    if (previous !== null && !same(previous['template'], template)) {
      problems.fixed('spec.template', 'of a Job cannot change', 'delete the Job and make a new one')
    }
  },
}

function checkShare(field: string, value: unknown, problems: Problems): void {
  const isShare = Number.isInteger(value) ? (value as number) >= 0 : /^\d{1,3}%$/.test(textOf(value))
  if (!isShare) problems.add(field, `${cut(value)} is neither a number nor a percentage`, 'write 1 or 25%')
}

const REPLICAS_MAX = 10_000
