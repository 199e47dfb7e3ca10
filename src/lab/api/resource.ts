/** Which resources there are: the known ones, and those learnt from objects of other kinds. */

export interface Resource {
  /** '' for the core group. */
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly kind: string
  readonly namespaced: boolean
  readonly shortNames: readonly string[]
  /** Has a /status subresource: a write to the object leaves status alone, and the reverse. */
  readonly status: boolean
  /** Has a /scale subresource. */
  readonly scale: boolean
}

export class Resources {
  readonly #byPlural = new Map<string, Resource>()
  readonly #byKind = new Map<string, Resource>()

  constructor() {
    for (const resource of KNOWN) this.#add(resource)
  }

  all(): MapIterator<Resource> {
    return this.#byPlural.values()
  }

  /** By plural, as the store is asked: `pods`. */
  get(plural: string): Resource | undefined {
    return this.#byPlural.get(plural)
  }

  /** By plural, singular, kind or short name in any case, as people write it. */
  find(word: string): Resource | undefined {
    const lower = word.toLowerCase()
    for (const r of this.#byPlural.values()) {
      if (r.plural === lower || r.kind.toLowerCase() === lower || r.shortNames.includes(lower)) return r
    }
    return undefined
  }

  byPath(group: string, version: string, plural: string): Resource | undefined {
    const resource = this.#byPlural.get(plural)
    return resource?.group === group && resource.version === version ? resource : undefined
  }

  byKind(group: string, kind: string): Resource | undefined {
    return this.#byKind.get(`${group}/${kind}`)
  }

  /** A kind nobody here knows is stored as it is, under the lower-case plural of its kind. Null: no room for more kinds. */
  learn(apiVersion: string, kind: string, namespaced: boolean): Resource | null {
    if (this.#byPlural.size >= RESOURCES_MAX) return null
    const [group, version] = splitApiVersion(apiVersion)
    const plural = pluralOf(kind)
    const taken = this.#byPlural.has(plural)
    const resource = of(`${group}/${version}`, taken ? `${plural}.${group}` : plural, kind, namespaced ? '' : 'cluster')
    this.#add(resource)
    return resource
  }

  #add(resource: Resource): void {
    this.#byPlural.set(resource.plural, resource)
    this.#byKind.set(`${resource.group}/${resource.kind}`, resource)
  }
}

export function splitApiVersion(apiVersion: string): [group: string, version: string] {
  const slash = apiVersion.indexOf('/')
  return slash < 0 ? ['', apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)]
}

export function apiVersionOf(resource: Resource): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`
}

/** For messages: `deployments.apps`. */
export function resourceTitle(resource: Resource): string {
  return resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`
}

function pluralOf(kind: string): string {
  const lower = kind.toLowerCase()
  if (/[^aeiou]y$/.test(lower)) return `${lower.slice(0, -1)}ies`
  if (/(s|x|z|ch|sh)$/.test(lower)) return `${lower}es`
  return `${lower}s`
}

/** `traits`: any of cluster, status, scale. */
function of(apiVersion: string, plural: string, kind: string, traits = '', ...shortNames: string[]): Resource {
  const [group, version] = splitApiVersion(apiVersion)
  return {
    group,
    version,
    plural,
    kind,
    namespaced: !traits.includes('cluster'),
    shortNames,
    status: traits.includes('status'),
    scale: traits.includes('scale'),
  }
}

const RESOURCES_MAX = 500

const KNOWN: readonly Resource[] = [
  of('v1', 'pods', 'Pod', 'status', 'po'),
  of('v1', 'services', 'Service', 'status', 'svc'),
  of('v1', 'endpoints', 'Endpoints', '', 'ep'),
  of('v1', 'nodes', 'Node', 'cluster status', 'no'),
  of('v1', 'namespaces', 'Namespace', 'cluster status', 'ns'),
  of('v1', 'configmaps', 'ConfigMap', '', 'cm'),
  of('v1', 'secrets', 'Secret'),
  of('v1', 'serviceaccounts', 'ServiceAccount', '', 'sa'),
  of('v1', 'events', 'Event', '', 'ev'),
  of('v1', 'persistentvolumes', 'PersistentVolume', 'cluster status', 'pv'),
  of('v1', 'persistentvolumeclaims', 'PersistentVolumeClaim', 'status', 'pvc'),
  of('v1', 'replicationcontrollers', 'ReplicationController', 'status', 'rc'),
  of('v1', 'resourcequotas', 'ResourceQuota', 'status', 'quota'),
  of('v1', 'limitranges', 'LimitRange', '', 'limits'),
  of('apps/v1', 'deployments', 'Deployment', 'status scale', 'deploy'),
  of('apps/v1', 'replicasets', 'ReplicaSet', 'status scale', 'rs'),
  of('apps/v1', 'statefulsets', 'StatefulSet', 'status scale', 'sts'),
  of('apps/v1', 'daemonsets', 'DaemonSet', 'status', 'ds'),
  of('apps/v1', 'controllerrevisions', 'ControllerRevision'),
  of('batch/v1', 'jobs', 'Job', 'status'),
  of('batch/v1', 'cronjobs', 'CronJob', 'status', 'cj'),
  of('discovery.k8s.io/v1', 'endpointslices', 'EndpointSlice', '', 'eps'),
  of('networking.k8s.io/v1', 'ingresses', 'Ingress', 'status', 'ing'),
  of('networking.k8s.io/v1', 'ingressclasses', 'IngressClass', 'cluster'),
  of('networking.k8s.io/v1', 'networkpolicies', 'NetworkPolicy', '', 'netpol'),
  of('networking.k8s.io/v1', 'servicecidrs', 'ServiceCIDR', 'cluster status'),
  of('networking.k8s.io/v1', 'ipaddresses', 'IPAddress', 'cluster', 'ip'),
  of('coordination.k8s.io/v1', 'leases', 'Lease'),
  of('policy/v1', 'poddisruptionbudgets', 'PodDisruptionBudget', 'status', 'pdb'),
  of('autoscaling/v2', 'horizontalpodautoscalers', 'HorizontalPodAutoscaler', 'status', 'hpa'),
  of('rbac.authorization.k8s.io/v1', 'roles', 'Role'),
  of('rbac.authorization.k8s.io/v1', 'rolebindings', 'RoleBinding'),
  of('rbac.authorization.k8s.io/v1', 'clusterroles', 'ClusterRole', 'cluster'),
  of('rbac.authorization.k8s.io/v1', 'clusterrolebindings', 'ClusterRoleBinding', 'cluster'),
  of('storage.k8s.io/v1', 'storageclasses', 'StorageClass', 'cluster', 'sc'),
  of('scheduling.k8s.io/v1', 'priorityclasses', 'PriorityClass', 'cluster', 'pc'),
  of('apiextensions.k8s.io/v1', 'customresourcedefinitions', 'CustomResourceDefinition', 'cluster status', 'crd'),
]
