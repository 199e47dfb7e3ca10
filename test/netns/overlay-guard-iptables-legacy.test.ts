/** The guard of the overlay by iptables, which has tables of its own: the same as by nftables. */
process.env['FAIRLEAD_TEST_TARGET'] = 'iptables-legacy'
await import('./overlay-guard.test.ts')
