/** Random clusters and packets by the iptables target, in the legacy variant. */
process.env['FAIRLEAD_TEST_TARGET'] = 'iptables-legacy'
await import('./service-fuzz.test.ts')
