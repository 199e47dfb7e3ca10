/** The lab's API server with the objects of a cluster, on a port of the loopback, for those who follow it. */
import type { AddressInfo } from 'node:net'
import { createStore } from '../src/lab/api/create.ts'
import { createApiServer } from '../src/lab/api/server.ts'
import type { Store } from '../src/lab/api/store.ts'
import type { Raw } from './cluster.ts'

export class Served {
  readonly port: number
  readonly #store: Store
  readonly #server: ReturnType<typeof createApiServer>

  /** Throws when the store refuses one of the objects. */
  static async of(objects: Iterable<Raw>): Promise<Served> {
    const store = createStore({ ranges: { clusterCIDRs: ['10.96.0.0/12'] } })
    for (const object of objects) {
      const outcome = store.create(object)
      if (!outcome.ok) throw new Error(JSON.stringify(outcome.failure))
    }
    const server = createApiServer(store)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new Served(store, server)
  }

  private constructor(store: Store, server: ReturnType<typeof createApiServer>) {
    this.#store = store
    this.#server = server
    this.port = (server.address() as AddressInfo).port
  }

  /** In the place of the object of its name, whatever was there. Throws when the store refuses it. */
  update(object: Raw): void {
    const { uid: _, resourceVersion: __, ...metadata } = object['metadata'] as Raw
    const outcome = this.#store.update({ ...object, metadata })
    if (!outcome.ok) throw new Error(JSON.stringify(outcome.failure))
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}
