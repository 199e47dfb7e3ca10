//! Types, classes and response codes by their names in presentation form (IANA, DNS parameters).

use std::fmt::{self, Display, Formatter};

/// Of a type, `TYPE4711` where it has no name (RFC 3597, 5).
pub struct Kind(pub u16);

/// Of a class, `CLASS4711`.
pub struct Class(pub u16);

/// Of a response code; a number where it has no name.
pub struct Code(pub u16);

impl Display for Kind {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write(formatter, &KINDS, self.0, "TYPE")
    }
}

impl Display for Class {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write(formatter, &CLASSES, self.0, "CLASS")
    }
}

impl Display for Code {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write(formatter, &CODES, self.0, "")
    }
}

/// `A`, `SRV`, `TYPE65`, in any case.
pub fn kind(text: &str) -> Option<u16> {
    let known = KINDS.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
    known.map(|(number, _)| *number).or_else(|| text.to_ascii_uppercase().strip_prefix("TYPE")?.parse().ok())
}

fn write(formatter: &mut Formatter<'_>, names: &[(u16, &str)], number: u16, prefix: &str) -> fmt::Result {
    match names.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => formatter.write_str(name),
        None => write!(formatter, "{prefix}{number}"),
    }
}

const KINDS: [(u16, &str); 61] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (10, "NULL"),
    (12, "PTR"),
    (13, "HINFO"),
    (14, "MINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (19, "X25"),
    (20, "ISDN"),
    (21, "RT"),
    (24, "SIG"),
    (25, "KEY"),
    (26, "PX"),
    (27, "GPOS"),
    (28, "AAAA"),
    (29, "LOC"),
    (31, "EID"),
    (32, "NIMLOC"),
    (33, "SRV"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (39, "DNAME"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (49, "DHCID"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (55, "HIP"),
    (57, "RKEY"),
    (58, "TALINK"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (63, "ZONEMD"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (99, "SPF"),
    (108, "EUI48"),
    (109, "EUI64"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
    (258, "AVC"),
];
const CLASSES: [(u16, &str); 6] = [(1, "IN"), (2, "CS"), (3, "CH"), (4, "HS"), (254, "NONE"), (255, "ANY")];
const CODES: [(u16, &str); 18] = [
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (6, "YXDOMAIN"),
    (7, "YXRRSET"),
    (8, "NXRRSET"),
    (9, "NOTAUTH"),
    (10, "NOTZONE"),
    (16, "BADVERS"),
    (17, "BADKEY"),
    (18, "BADTIME"),
    (19, "BADMODE"),
    (20, "BADNAME"),
    (21, "BADALG"),
    (23, "BADCOOKIE"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_has_a_number() {
        let shown = [Kind(35).to_string(), Kind(4711).to_string(), Class(9).to_string(), Code(3841).to_string()];
        assert_eq!(shown, ["NAPTR", "TYPE4711", "CLASS9", "3841"]);
        assert_eq!(
            [kind("naptr"), kind("type35"), kind("TYPE70000"), kind("nonsense")],
            [Some(35), Some(35), None, None]
        );
    }
}
