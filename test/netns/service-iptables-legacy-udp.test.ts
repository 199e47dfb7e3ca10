/** UDP flows by the iptables target. */
process.env['FAIRLEAD_TEST_TARGET'] = 'iptables-legacy'
await import('./service-udp.test.ts')
