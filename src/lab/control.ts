/** The lab's own socket: what the API server cannot be asked. Answers are JSON; an error has a `message`. */
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http'

export interface ControlAnswers {
  /** Where to run a command for `words`: arguments that lead there from the lab's PID 1. */
  enter(words: string, options: { namespace: string; container: string | undefined }): Entry
  /** The page `up` ends on, as of now. */
  page(): string
  /** What of the manifest files the cluster does not have, and why; one line each. */
  problems(): readonly string[]
}

export type Entry =
  | { readonly kind: 'done'; readonly command: readonly string[] }
  | { readonly kind: 'unknown'; readonly message: string }

export function serveControl(answers: ControlAnswers): Server {
  return createServer((incoming: IncomingMessage, response: ServerResponse) => {
    const url = new URL(incoming.url ?? '/', 'http://lab')
    const words = url.searchParams.get('target') ?? ''
    const namespace = url.searchParams.get('namespace') ?? 'default'
    const container = url.searchParams.get('container') ?? undefined
    const answer = ((): unknown => {
      if (url.pathname === '/enter') return answers.enter(words, { namespace, container })
      if (url.pathname === '/page') return { kind: 'done', text: answers.page() }
      if (url.pathname === '/problems') return problemsOf(answers.problems())
      return { kind: 'unknown', message: `the lab does not know ${url.pathname}` }
    })()
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer))
  })
}

export interface Problems {
  /** All there are; `first` holds at most PROBLEMS_MAX of them. */
  readonly count: number
  readonly first: readonly string[]
}

function problemsOf(all: readonly string[]): Problems {
  return { count: all.length, first: all.slice(0, PROBLEMS_MAX).map((line) => line.slice(0, LINE_MAX)) }
}

/** Asks a running lab. Rejects when it does not answer. */
export function askControl<Answer>(
  socketPath: string,
  path: string,
  parameters: Record<string, string>,
): Promise<Answer> {
  const query = new URLSearchParams(parameters).toString()
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: `${path}?${query}`, timeout: ANSWER_MAX_MS }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString()) as Answer))
    })
    asked.on('timeout', () => asked.destroy(new Error('the lab does not answer')))
    asked.on('error', reject)
    asked.end()
  })
}

const PROBLEMS_MAX = 20
const LINE_MAX = 1000
const ANSWER_MAX_MS = 10_000
