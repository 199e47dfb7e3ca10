/**
 * Ports for the person at the keyboard: sockets that were opened on the machine before the lab had a network of its own.
 * The carrier's relay holds them in `outside` and connects from there; this only tells it where to.
 */
import { start } from '../kernel/exec.ts'
import type { ApiObject, Fields } from './api/object.ts'
import type { Store } from './api/store.ts'
import { CARRIER } from './program.ts'
import type { Publication } from './publication.ts'
import { ingressOf, placesOf } from './reach.ts'

/** A socket of the machine, and the port of a Service behind it. */
export interface Published {
  /** `127.0.0.1:8080` */
  readonly listen: string
  /** `web:80`, `shop/web:80`; null: nothing yet. */
  readonly target: string | null
  readonly port: Fields | null
  readonly to: readonly string[]
}

export class Publisher {
  readonly #store: Store
  readonly #publications: readonly Publication[]
  readonly #nodes: readonly string[]
  readonly #sockets: readonly Socket[]
  readonly #onProblem: (problem: string) => void
  #relay: ReturnType<typeof start> | null = null
  #told: string[] = []
  #isDue = false

  /** `nodes`: addresses of nodes, for node ports. */
  constructor(
    store: Store,
    publications: readonly Publication[],
    nodes: readonly string[],
    onProblem: (problem: string) => void,
  ) {
    this.#store = store
    this.#publications = publications
    this.#nodes = nodes
    this.#onProblem = onProblem
    this.#sockets = socketsOf(process.env[VARIABLE] ?? '')
    delete process.env[VARIABLE] // nobody else's business
  }

  /** Follows the cluster from now on. Call once `outside` is there. */
  start(): void {
    if (this.#sockets.length === 0) return
    this.#startRelay()
    this.#store.onChange(({ resource }) => {
      if (resource.plural !== 'services' && resource.plural !== 'endpointslices') return
      if (this.#isDue) return
      this.#isDue = true
      setImmediate(() => this.#tell())
    })
    this.#tell()
  }

  /** As of now, in the order they were asked for; sockets without a target that nobody asked for are left out. */
  published(): Published[] {
    const listens = this.#sockets.map(({ listen }) => listen)
    return publishedOf(this.#store, this.#publications.slice(0, listens.length), listens, this.#nodes).filter(
      ({ target }, i) => target !== null || this.#publications[i]!.service !== null,
    )
  }

  #startRelay(): void {
    const startedMs = performance.now()
    const command = ['nsenter', '--net=/run/netns/outside', '--', CARRIER, 'relay'] as const
    // In the child each socket has the number it has here: no two trade places.
    const files: (number | 'ignore')[] = []
    for (const { fd } of this.#sockets) files[fd - FIRST_FD] = fd
    const relay = start(command, {
      stdio: ['pipe', 'inherit', 'inherit', ...Array.from(files, (fd) => fd ?? 'ignore')],
    })
    relay.stdin!.on('error', () => {}) // its end is told by `exit`
    relay.once('error', (error) => this.#onProblem(`published ports do not work: ${error.message}`))
    relay.once('exit', (code, signal) => {
      this.#onProblem(`the relay of published ports ended (${signal ?? `exit code ${code}`}) and is started again`)
      const pauseMs = performance.now() - startedMs > RAN_WELL_MS ? 0 : PAUSE_MS
      setTimeout(() => this.#startRelay(), pauseMs)
    })
    this.#relay = relay
    this.#told = []
    this.#tell()
  }

  #tell(): void {
    this.#isDue = false
    const listens = this.#sockets.map(({ listen }) => listen)
    const all = publishedOf(this.#store, this.#publications.slice(0, listens.length), listens, this.#nodes)
    for (const [i, { to }] of all.entries()) {
      const line = JSON.stringify({ fd: this.#sockets[i]!.fd, to: to.slice(0, PLACES_MAX) }) + '\n'
      if (this.#told[i] === line) continue
      this.#told[i] = line
      this.#relay?.stdin?.write(line)
    }
  }
}

/** Which port of which Service is behind each socket, by what the cluster says now. Pure. */
export function publishedOf(
  store: Store,
  publications: readonly Publication[],
  listens: readonly string[],
  nodes: readonly string[],
): Published[] {
  const asked = publications.map(({ service, port }) => {
    const object = service === null ? undefined : store.get('services', service.namespace, service.name)
    const found =
      object && portsOf(object).find(({ port: number, name }) => [null, String(number), name].includes(port))
    return found === undefined ? null : { object: object!, port: found }
  })
  const taken = new Set(asked.flatMap((found) => (found === null ? [] : nameOf(found.object, found.port))))
  const balancers = store
    .list('services')
    .filter((service) => ingressOf(service).length > 0)
    .flatMap((object) => portsOf(object).map((port) => ({ object, port })))
  const spare = balancers.filter(({ object, port }) => !taken.has(nameOf(object, port))).values()
  return publications.map(({ service }, i) => {
    const listen = listens[i]!
    const found = service === null ? (spare.next().value ?? null) : asked[i]!
    if (found === null) return { listen, target: null, port: null, to: [] }
    const { object, port } = found
    return { listen, target: nameOf(object, port), port, to: placesOf(store, object, port, nodes) }
  })
}

interface Socket {
  readonly fd: number
  readonly listen: string
}

function socketsOf(text: string): Socket[] {
  return text.split(',').flatMap((part) => {
    const [fd, listen] = part.split('=')
    return fd && listen ? [{ fd: Number(fd), listen }] : []
  })
}

function portsOf(service: ApiObject): Fields[] {
  return ((service['spec']?.ports ?? []) as Fields[]).filter(({ protocol = 'TCP' }) => protocol === 'TCP')
}

function nameOf({ metadata }: ApiObject, port: Fields): string {
  const space = metadata.namespace === 'default' ? '' : `${metadata.namespace}/`
  return `${space}${metadata.name}:${port['port']}`
}

/** Set by `fairlead-carrier listen`. */
const VARIABLE = 'FAIRLEAD_LISTENERS'
const FIRST_FD = 3
const PAUSE_MS = 1000
const RAN_WELL_MS = 10_000
const PLACES_MAX = 1000
