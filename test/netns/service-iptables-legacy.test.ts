/** The service contract by the iptables target, in the legacy variant: the same cases as for nftables. */
process.env['FAIRLEAD_TEST_TARGET'] = 'iptables-legacy'
await import('./service.test.ts')
