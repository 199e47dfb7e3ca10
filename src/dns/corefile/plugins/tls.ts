import { args, once, options } from '../options.ts'
import { pathOf, type Parse } from '../setting.ts'
import type { Step } from '../step.ts'
import { oneOf } from '../value.ts'

type Auth = Extract<Step, { readonly plugin: 'tls' }>['clientAuth']

/** `tls CERT KEY [CA]`: of a server whose keys begin with tls:// */
export const tls: Parse = (directives, setting) => {
  const { problems } = setting
  const directive = once(directives, problems)
  const [certificate, key, ca] = args(directive, 2, 3, problems) ?? []
  let clientAuth: Auth = 'noCert'
  options(
    directive,
    {
      client_auth: (line) => {
        const [word] = args(line, 1, 1, problems) ?? []
        const kind = word && oneOf(word, 'kind of client_auth', [...AUTH.keys()], problems)
        if (kind) clientAuth = AUTH.get(kind) ?? clientAuth
      },
      keylog: ({ name }) => {
        problems.report(name, 'a log of keys is not kept', 'remove the line')
      },
    },
    problems,
  )
  if (certificate === undefined || key === undefined) return null
  const path = (word: typeof certificate): string => pathOf(word, setting)
  return {
    plugin: 'tls',
    certificate: path(certificate),
    key: path(key),
    ca: ca === undefined ? null : path(ca),
    clientAuth,
  }
}

const AUTH: ReadonlyMap<string, Auth> = new Map<string, Auth>([
  ['nocert', 'noCert'],
  ['request', 'request'],
  ['require', 'require'],
  ['verify_if_given', 'verifyIfGiven'],
  ['require_and_verify', 'requireAndVerify'],
])
