/** `--log` of the commands that stay. */
import type { Command } from 'commander'
import { createLog, parseLogOptions, type Log } from '../status/log.ts'
import { Failure } from './failure.ts'

export function addLogOption(command: Command): Command {
  return command.option(
    '--log <words>',
    'level and format: debug, info, warn, error, text, json',
    process.env['FAIRLEAD_LOG'] ?? 'info',
  )
}

/** Throws a Failure for a word that is none of these. */
export function logBy(words: string): Log {
  const { unknown, ...options } = parseLogOptions(words)
  if (unknown.length > 0) throw new Failure(`--log: ${unknown.join(', ')} is no level or format`, 2)
  return createLog(options)
}
