/** `$variables` of nginx and ingress-nginx that the carrier knows, in texts that are expanded for each request. */

/** The first variable in a text that is not known, with its `$`; null: all are. */
export function unknownVariable(text: string): string | null {
  for (const [whole, braced, plain] of text.matchAll(VARIABLE)) {
    const name = braced ?? plain ?? ''
    if (!KNOWN.has(name) && !/^(http|arg|cookie|upstream_http)_[a-z0-9_]+$/i.test(name)) return whole
  }
  return null
}

export const hasVariable = (text: string): boolean => text.includes('$')

const VARIABLE = /\$(?:\{(\w+)\}|(\w+))?/g
const KNOWN: ReadonlySet<string> = new Set(
  [
    ['args', 'best_http_host', 'binary_remote_addr', 'body_bytes_sent', 'bytes_sent', 'content_length', 'content_type'],
    ['escaped_request_uri', 'host', 'http_host', 'https', 'ingress_name', 'is_args', 'location_path', 'msec'],
    ['namespace', 'pass_access_scheme', 'pass_port', 'pass_server_port', 'proxy_add_x_forwarded_for'],
    ['proxy_alternative_upstream_name', 'proxy_protocol_addr', 'proxy_upstream_name', 'query_string', 'remote_addr'],
    [
      'remote_port',
      'remote_user',
      'req_id',
      'request',
      'request_id',
      'request_length',
      'request_method',
      'request_time',
    ],
    ['request_uri', 'scheme', 'server_addr', 'server_name', 'server_port', 'server_protocol', 'service_name'],
    ['service_port', 'ssl_cipher', 'ssl_client_escaped_cert', 'ssl_client_fingerprint', 'ssl_client_i_dn'],
    ['ssl_client_s_dn', 'ssl_client_serial', 'ssl_client_verify'],
    [
      'ssl_protocol',
      'status',
      'the_real_ip',
      'time_iso8601',
      'time_local',
      'upstream_addr',
      'upstream_response_length',
    ],
    ['upstream_response_time', 'upstream_status', 'uri'],
  ].flat(),
)
