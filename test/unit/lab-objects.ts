/** Objects for the lab's tests, as people would write them. */
import type { ApiObject, Fields, Ref } from '../../src/lab/api/object.ts'
import type { Outcome, Store } from '../../src/lab/api/store.ts'

export function template(app: string, more: Fields = {}, labels: Fields = {}): Fields {
  const ports = [{ name: 'http', containerPort: 8080 }]
  return {
    metadata: { labels: { app, ...labels } },
    spec: { containers: [{ name: 'main', image: 'web:1', ports }], ...more },
  }
}

export function workload(kind: string, name: string, spec: Fields = {}): Fields {
  const apiVersion = kind === 'Job' ? 'batch/v1' : 'apps/v1'
  const selector = kind === 'Job' ? {} : { selector: { matchLabels: { app: name } } }
  return {
    apiVersion,
    kind,
    metadata: { name, namespace: 'default' },
    spec: { ...selector, template: template(name), ...spec },
  }
}

export function service(name: string, spec: Fields = {}): Fields {
  const ports = [{ port: 80, targetPort: 'http' }]
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: { selector: { app: name }, ports, ...spec },
  }
}

export function pod(name: string, spec: Fields = {}, labels: Fields = {}): Fields {
  const containers = [{ name: 'main', image: 'web:1' }]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels },
    spec: { containers, ...spec },
  }
}

/** The object of an outcome that must be good. */
export function must(outcome: Outcome): ApiObject {
  if (!outcome.ok) throw new Error(outcome.failure.message)
  return outcome.object
}

/** The message of an outcome that must be bad; '' when it is good. */
export function why(outcome: Outcome): string {
  return outcome.ok ? '' : outcome.failure.message
}

export function at(resource: string, name: string, namespace = 'default'): Ref {
  return { resource, namespace, name }
}

export function read(store: Store, resource: string, name: string, namespace = 'default'): ApiObject {
  const found = store.get(resource, namespace, name)
  if (found === undefined) throw new Error(`no ${resource} ${namespace}/${name}`)
  return found
}

/** A clock that stands still until it is told, with callbacks for the runner. */
export class HandClock {
  nowMs = Date.parse('2030-01-01T00:00:00Z')
  readonly #waiting = new Set<{ atMs: number; callback: () => void }>()

  readonly now = (): number => this.nowMs

  readonly after = (ms: number, callback: () => void): (() => void) => {
    const entry = { atMs: this.nowMs + ms, callback }
    this.#waiting.add(entry)
    return () => this.#waiting.delete(entry)
  }

  advance(ms: number): void {
    this.nowMs += ms
    for (const entry of [...this.#waiting]) {
      if (entry.atMs > this.nowMs) continue
      this.#waiting.delete(entry)
      entry.callback()
    }
  }
}
