/** Annotations that ingress-cases.ts does not show, and why. */
export const ELSEWHERE: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      ...['preserve-trailing-slash', 'client-body-buffer-size', 'proxy-busy-buffers-size', 'proxy-max-temp-file-size'],
      ...['auth-keepalive', 'auth-keepalive-requests', 'auth-keepalive-timeout', 'auth-keepalive-share-vars'],
      ...['proxy-http-version', 'proxy-ssl-verify-depth', 'proxy-ssl-ciphers', 'upstream-hash-by-subset'],
      ...['upstream-hash-by-subset-size', 'session-cookie-conditional-samesite-none', 'disable-proxy-intercept-errors'],
      ...['enable-rewrite-log', 'http2-push-preload', 'connection-proxy-header', 'use-port-in-redirects'],
      ...['opentelemetry-trust-incoming-span', 'opentracing-trust-incoming-span', 'opentelemetry-operation-name'],
      ...['stream-snippet', 'modsecurity-snippet', 'auth-tls-match-cn'],
    ].map((name) => [name, 'told as changed or refused: test/unit/ingress-annotations.test.ts']),
  ),
  'proxy-send-timeout': 'the row has it: test/unit/ingress-annotations.test.ts',
  ...Object.fromEntries(
    [
      ...['auth-url', 'auth-method', 'auth-response-headers', 'auth-proxy-set-headers', 'auth-request-redirect'],
      ...['auth-signin', 'auth-signin-redirect-param', 'auth-cache-key', 'auth-cache-duration', 'auth-snippet'],
      ...['auth-always-set-cookie', 'enable-global-auth', 'mirror-target', 'mirror-request-body', 'mirror-host'],
      ...['custom-http-errors', 'enable-opentelemetry', 'enable-opentracing', 'proxy-buffering', 'proxy-buffer-size'],
      ...['proxy-buffers-number', 'proxy-request-buffering', 'ssl-passthrough', 'auth-tls-secret'],
      ...['auth-tls-verify-client', 'auth-tls-verify-depth', 'auth-tls-error-page'],
      'auth-tls-pass-certificate-to-upstream',
    ].map((name) => [name, 'has a test of its own, or the carrier refuses it']),
  ),
}
