import type { Token } from '../lexer.ts'
import { args, flag, once, options } from '../options.ts'
import type { Parse, Setting } from '../setting.ts'
import type { Statement } from '../statement.ts'
import type { HttpListen } from '../step.ts'
import { duration, hostPort, oneOf } from '../value.ts'

/** What the carrier serves over HTTP: `health [ADDRESS]`, `ready [ADDRESS]`, `prometheus [ADDRESS]`. */

export const health: Parse = (directives, setting) => {
  const { problems } = setting
  let lameduckMs = 0
  let listen: HttpListen = { address: null, port: 8080 }
  // CoreDNS lets it stand there twice; the last word counts.
  for (const directive of directives) {
    listen = where(directive, setting) ?? listen
    options(
      directive,
      {
        lameduck: (line) => {
          const [value] = args(line, 1, 1, problems) ?? []
          if (value) lameduckMs = duration(value, 'the time of a lame duck', 0, HOUR_MS, problems) ?? 0
        },
      },
      problems,
    )
  }
  return { plugin: 'health', listen, lameduckMs }
}

export const ready: Parse = (directives, setting) => {
  const { problems } = setting
  const directive = once(directives, problems)
  let continuously = false
  options(
    directive,
    {
      monitor: (line) => {
        const [value] = args(line, 1, 1, problems) ?? []
        const kind = value && oneOf(value, 'kind of monitor', ['until-ready', 'continuously'], problems)
        continuously = kind === 'continuously'
      },
    },
    problems,
  )
  return { plugin: 'ready', listen: where(directive, setting) ?? { address: null, port: 8181 }, continuously }
}

export const prometheus: Parse = (directives, setting) => {
  const { problems, warnings } = setting
  const directive = once(directives, problems)
  const ignored = (at: Token): null => warnings.report(at, 'there is no Go runtime here to measure', 'remove the line')
  options(
    directive,
    {
      runtime_metrics: (line) => flag(() => void ignored(line.name), problems)(line),
      tls: ({ name }) => {
        problems.report(name, 'metrics over TLS are not supported', 'remove the line, and put a proxy in front')
      },
    },
    problems,
  )
  return { plugin: 'prometheus', listen: where(directive, setting) ?? { address: '127.0.0.1', port: 9153 } }
}

function where(directive: Statement, { problems }: Setting): HttpListen | null {
  const [place] = args(directive, 0, 1, problems) ?? []
  return place === undefined ? null : hostPort(place, problems)
}

const HOUR_MS = 3_600_000
