#![no_main]

// The file alone: the rest of the proxy need not be built for it.
#[path = "../../proxy/src/proxy_protocol.rs"]
mod proxy_protocol;

use proxy_protocol::{Ends, HEADER_MAX_BYTES, Header, read, write};
use wire::proxy::ProxyVersion;

// What stands before the first octet of a connection.
libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    match read(octets) {
        Header::Part => assert!(octets.len() < HEADER_MAX_BYTES, "there is an end to waiting"),
        Header::Bad(reason) => {
            let more = [octets, b"\r\n"].concat();
            assert_eq!(read(&more), Header::Bad(reason), "what comes later mends nothing");
        }
        Header::Whole(length, ends) => {
            for short in 0..length {
                assert_eq!(read(&octets[..short]), Header::Part, "{short} of {length}");
            }
            assert_eq!(read(&octets[..length]), Header::Whole(length, ends), "what is behind it makes no difference");
            let Ends::Told { source, destination } = ends else { return };
            for version in [ProxyVersion::V1, ProxyVersion::V2] {
                let written = write(version, source, destination);
                assert_eq!(read(&written), Header::Whole(written.len(), ends), "as it is passed on");
            }
        }
    }
});
