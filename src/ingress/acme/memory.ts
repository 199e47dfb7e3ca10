/** Secrets and replicas that are nowhere but here: for tests, and for a controller without an API server. */
import type { Replica, Replicas, Secrets, StoredSecret } from './store.ts'

export class MemorySecrets implements Secrets {
  readonly #secrets = new Map<string, StoredSecret>()
  readonly #listeners = new Set<(secret: StoredSecret) => void>()
  #version = 0

  async get(path: string): Promise<StoredSecret | null> {
    return this.#secrets.get(path) ?? null
  }

  async put(secret: StoredSecret): Promise<StoredSecret | null> {
    if ((this.#secrets.get(secret.path)?.version ?? '') !== secret.version) return null
    const stored = { ...secret, version: String(++this.#version) }
    this.#secrets.set(secret.path, stored)
    for (const listener of this.#listeners) listener(stored)
    return stored
  }

  async drop(path: string): Promise<void> {
    this.#secrets.delete(path)
  }

  async list(namespace: string, label: string, value: string): Promise<readonly StoredSecret[]> {
    return [...this.#secrets.values()].filter(
      ({ path, labels }) => path.startsWith(`${namespace}/`) && labels[label] === value,
    )
  }

  /** Is told of each change; begins with what there is. Gives what ends it. */
  follow(listener: (secret: StoredSecret) => void): () => void {
    for (const secret of this.#secrets.values()) listener(secret)
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}

export class MemoryReplicas implements Replicas {
  readonly #replicas = new Map<string, Replica>()

  async list(): Promise<readonly Replica[]> {
    return [...this.#replicas.values()]
  }

  put(replica: Replica): void {
    this.#replicas.set(replica.name, replica)
  }
}
