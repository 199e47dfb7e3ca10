//! Records of rows in wire form, their owner a pointer to the question's name: whoever asks in whatever case is answered by
//! the same octets.

use crate::name::{NAME_MAX, Name};
use crate::packet;
use std::collections::BTreeMap;
use wire::names::{NameRecord, NameRow};

/// A row's records in wire form, by type.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Records(pub BTreeMap<u16, Set>);

/// The records of one type: owner pointer, type, class, TTL (`DEFAULT_TTL`: the step's), length, data; one behind the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Set {
    pub count: u16,
    pub octets: Vec<u8>,
}

impl Records {
    pub fn of(row: &NameRow) -> Result<Records, String> {
        let mut records = Records::default();
        for record in &row.records {
            let (kind, ttl, data) = encode(record)?;
            records.add(kind, ttl, &data)?;
        }
        // RFC 2181 10.1: an alias has no other data.
        if records.0.contains_key(&packet::CNAME) && (records.0.len() > 1 || records.0[&packet::CNAME].count > 1) {
            return Err("a CNAME is the only record of its name".into());
        }
        Ok(records)
    }

    fn add(&mut self, kind: u16, ttl: Option<u32>, data: &[u8]) -> Result<(), String> {
        if matches!(kind, 0 | packet::OPT | 128..=255) {
            return Err(format!("type {kind} is none of data"));
        }
        if ttl.is_some_and(|ttl| ttl > TTL_MAX) {
            return Err(format!("a TTL is {TTL_MAX} at most"));
        }
        let length = u16::try_from(data.len()).map_err(|_| "the data of a record is 65,535 octets at most")?;
        let set = self.0.entry(kind).or_default();
        let start = set.octets.len();
        set.octets.extend(OWNER.to_be_bytes());
        set.octets.extend(kind.to_be_bytes());
        set.octets.extend(packet::IN.to_be_bytes());
        set.octets.extend(ttl.unwrap_or(DEFAULT_TTL).to_be_bytes());
        set.octets.extend(length.to_be_bytes());
        set.octets.extend(data);
        // RFC 2181 5: a set has no duplicates. Rows come sorted, so a duplicate is the one before.
        if start >= set.octets.len() - start && set.octets[start..] == set.octets[2 * start - set.octets.len()..start] {
            set.octets.truncate(start);
            return Ok(());
        }
        set.count = set.count.checked_add(1).ok_or("a name has 65,535 records of a type at most")?;
        Ok(())
    }
}

/// Type, TTL, data. Names in data are not compressed: SRV's must not be (RFC 2782), and others are seldom worth it.
pub fn encode(record: &NameRecord) -> Result<(u16, Option<u32>, Vec<u8>), String> {
    let name = |text: &str| Name::parse(text).map(|name| name.wire().to_vec());
    Ok(match record {
        NameRecord::A { ip, ttl } => (packet::A, *ttl, ip.octets().into()),
        NameRecord::Aaaa { ip, ttl } => (packet::AAAA, *ttl, ip.octets().into()),
        NameRecord::Srv { priority, weight, port, target, ttl } => {
            let numbers = [priority, weight, port].into_iter().flat_map(|number| number.to_be_bytes());
            (packet::SRV, *ttl, numbers.chain(name(target)?).collect())
        }
        NameRecord::Ptr { target, ttl } => (packet::PTR, *ttl, name(target)?),
        NameRecord::Cname { target, ttl } => (packet::CNAME, *ttl, name(target)?),
        NameRecord::Ns { target, ttl } => (packet::NS, *ttl, name(target)?),
        NameRecord::Txt { texts, ttl } => (packet::TXT, *ttl, character_strings(texts)?),
        NameRecord::Mx { preference, target, ttl } => {
            (packet::MX, *ttl, [&preference.to_be_bytes()[..], &name(target)?].concat())
        }
        NameRecord::Soa { mname, rname, serial, refresh, retry, expire, minimum, ttl } => {
            let numbers = [serial, refresh, retry, expire, minimum].into_iter().flat_map(|number| number.to_be_bytes());
            (packet::SOA, *ttl, name(mname)?.into_iter().chain(name(rname)?).chain(numbers).collect())
        }
        NameRecord::Other { code, data, ttl } => (*code, *ttl, hexadecimal(data)?),
    })
}

fn character_strings(texts: &[String]) -> Result<Vec<u8>, String> {
    let mut data = Vec::new();
    for text in texts {
        data.push(u8::try_from(text.len()).map_err(|_| format!("a text is {NAME_MAX} octets at most"))?);
        data.extend(text.as_bytes());
    }
    if data.is_empty() { Err("a TXT record has at least one text".into()) } else { Ok(data) }
}

pub fn hexadecimal(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("{text:?} is not pairs of hexadecimal digits");
    if text.len() % 2 != 0 || !text.bytes().all(|octet| octet.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong())).collect()
}

/// A pointer to the question's name, behind the header.
pub const OWNER: u16 = 0xc00c;
/// Stands for the TTL of the step that answers; no TTL is that long (RFC 2181 8).
pub const DEFAULT_TTL: u32 = u32::MAX;
const TTL_MAX: u32 = i32::MAX as u32;
/// Owner pointer, type, class, TTL, length of data.
pub const FIXED_BYTES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn records(json: &str) -> Result<Records, String> {
        let row = format!(r#"{{"set":"k0","name":"a.b.","records":[{json}]}}"#);
        Records::of(&serde_json::from_str(&row).unwrap())
    }

    #[test]
    fn records_are_wire() {
        let a = records(r#"{"type":"A","ip":"10.0.0.1"},{"type":"A","ip":"10.0.0.2","ttl":7}"#).unwrap();
        let set = &a.0[&packet::A];
        assert_eq!(set.count, 2);
        assert_eq!(set.octets[..16], *b"\xc0\x0c\0\x01\0\x01\xff\xff\xff\xff\0\x04\x0a\0\0\x01");
        assert_eq!(set.octets[22..26], *b"\0\0\0\x07");
        let srv = records(r#"{"type":"SRV","priority":0,"weight":100,"port":80,"target":"a.b."}"#).unwrap();
        assert_eq!(srv.0[&packet::SRV].octets[10..], *b"\0\x0b\0\0\0\x64\0\x50\x01a\x01b\0");
        let txt = records(r#"{"type":"TXT","texts":["1.1.0"]}"#).unwrap();
        assert_eq!(txt.0[&packet::TXT].octets[10..], *b"\0\x06\x051.1.0");
        let other = records(r#"{"type":"OTHER","code":257,"data":"00ff"}"#).unwrap();
        assert_eq!(other.0[&257].octets[10..], *b"\0\x02\0\xff");
        let twice = records(r#"{"type":"A","ip":"10.0.0.1"},{"type":"A","ip":"10.0.0.1"}"#).unwrap();
        assert_eq!(twice.0[&packet::A].count, 1);
    }

    #[test]
    fn what_cannot_be_answered_is_refused() {
        let long = "x".repeat(256);
        for wrong in [
            r#"{"type":"PTR","target":"no dot"}"#,
            r#"{"type":"TXT","texts":[]}"#,
            &format!(r#"{{"type":"TXT","texts":["{long}"]}}"#),
            r#"{"type":"OTHER","code":41,"data":""}"#,
            r#"{"type":"OTHER","code":257,"data":"0g"}"#,
            r#"{"type":"A","ip":"10.0.0.1","ttl":2147483648}"#,
            r#"{"type":"CNAME","target":"a."},{"type":"A","ip":"10.0.0.1"}"#,
            r#"{"type":"CNAME","target":"a."},{"type":"CNAME","target":"b."}"#,
        ] {
            assert!(records(wrong).is_err(), "{wrong}");
        }
    }
}
