/** The control plane of the lab: a store and what drives it. */
import { createStore, type ClusterOptions } from '../api/create.ts'
import type { Store } from '../api/store.ts'
import type { Authority } from '../authority.ts'
import { certificateController } from './certificates.ts'
import { daemonSetController } from './daemonset.ts'
import { deploymentController } from './deployment.ts'
import { endpointSliceController } from './endpointslice.ts'
import { garbageController } from './garbage.ts'
import { jobController } from './job.ts'
import { loadBalancerController } from './load-balancer.ts'
import { replicaSetController } from './replicaset.ts'
import { mirrorController } from './mirror.ts'
import { namespaceController } from './namespace.ts'
import { Runner, type RunnerOptions } from './runner.ts'
import { scheduler } from './scheduler.ts'
import { statefulSetController } from './statefulset.ts'

export interface PlaneOptions extends ClusterOptions, RunnerOptions {
  /** Pools of load balancer addresses, one a family. */
  readonly loadBalancerPools?: readonly string[]
  /** Signs certificates for Ingresses; without it there are none. */
  readonly authority?: Authority
}

/** `runner.start()` lets it work by itself; `runner.settle()` works until nothing is left to do (tests). */
export function createControlPlane(options: PlaneOptions = {}): { store: Store; runner: Runner } {
  const store = createStore(options)
  const controllers = [
    namespaceController,
    loadBalancerController(options.loadBalancerPools),
    deploymentController,
    replicaSetController,
    statefulSetController,
    daemonSetController,
    jobController,
    scheduler,
    endpointSliceController,
    mirrorController,
    garbageController,
    ...(options.authority === undefined ? [] : [certificateController(options.authority)]),
  ]
  return { store, runner: new Runner(store, controllers, options) }
}
