/** Transport protocols a Service can have (core/v1 Protocol, in lower case as nft and /etc/protocols write them). */
export type Protocol = 'tcp' | 'udp' | 'sctp'
export type Family = 4 | 6
