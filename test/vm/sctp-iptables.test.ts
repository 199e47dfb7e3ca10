/** SCTP through the iptables target, in the legacy variant, whose modules Debian's kernel loads by itself. */
process.env['FAIRLEAD_TEST_TARGET'] = 'iptables-legacy'
await import('./sctp.test.ts')
