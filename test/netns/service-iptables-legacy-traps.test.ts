/** Traps of service proxies, by the iptables target. */
process.env['FAIRLEAD_TEST_TARGET'] = 'iptables-legacy'
await import('./service-traps.test.ts')
