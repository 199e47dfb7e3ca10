//! Names in wire form: labels of an octet of length and up to 63 octets, ended by the empty one of the root; at most 255
//! octets in all (RFC 1035 3.1). Held in lower case: ASCII only, since labels are binary (RFC 4343).

use std::fmt;
use supervisor::Problem;

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<[u8]>);

impl Name {
    /// From presentation form with its final dot: `a\.b.example.`, `\DDD` for any octet (RFC 1035 5.1).
    pub fn parse(text: &str) -> Result<Name, String> {
        let mut wire = Vec::with_capacity(text.len() + 2);
        if text != "." {
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                rest = label(rest, &mut wire).map_err(|why| format!("{text:?} {why}"))?;
            }
        }
        wire.push(0);
        if wire.len() > NAME_MAX {
            return Err(format!("{text:?} is longer than {NAME_MAX} octets"));
        }
        Ok(Name(wire.into()))
    }

    /// A name that is known to be whole and in lower case.
    pub fn from_wire(wire: &[u8]) -> Name {
        debug_assert_eq!(labels(wire).map(|label| label.len() + 1).sum::<usize>() + 1, wire.len());
        Name(wire.into())
    }

    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// With a label put before it.
    pub fn child(&self, label: &str) -> Result<Name, String> {
        Name::parse(&format!("{label}.{}", if self.0.len() == 1 { String::new() } else { self.to_string() }))
    }
}

/// One label and the dot behind it, from presentation to wire form.
fn label<'a>(mut rest: &'a [u8], wire: &mut Vec<u8>) -> Result<&'a [u8], &'static str> {
    let start = wire.len();
    wire.push(0);
    loop {
        let (octet, behind) = match rest {
            [b'.', behind @ ..] => {
                let length = wire.len() - start - 1;
                if length == 0 || length > LABEL_MAX {
                    return Err("has a label that is empty or longer than 63 octets");
                }
                wire[start] = length as u8;
                return Ok(behind);
            }
            [b'\\', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', behind @ ..] => {
                let value = [a, b, c].iter().fold(0u16, |value, digit| value * 10 + u16::from(**digit - b'0'));
                (u8::try_from(value).map_err(|_| "has an escape above \\255")?, behind)
            }
            [b'\\', octet, behind @ ..] => (*octet, behind),
            [octet, behind @ ..] => (*octet, behind),
            [] => return Err("has no final dot"),
        };
        wire.push(octet.to_ascii_lowercase());
        rest = behind;
    }
}

/// The labels of a name in wire form without the root's.
pub fn labels(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = wire;
    std::iter::from_fn(move || {
        let length = usize::from(*rest.first()?);
        if length == 0 || rest.len() <= length {
            return None;
        }
        let label = &rest[1..=length];
        rest = &rest[length + 1..];
        Some(label)
    })
}

/// The name without its first label; the root has none.
pub fn parent(wire: &[u8]) -> Option<&[u8]> {
    match wire.first() {
        Some(0) | None => None,
        Some(length) => wire.get(usize::from(*length) + 1..),
    }
}

/// Zones, the longest first.
pub fn names(texts: &[String]) -> Result<Vec<Name>, Problem> {
    let mut names = texts.iter().map(|text| Name::parse(text)).collect::<Result<Vec<_>, _>>().map_err(not_absolute)?;
    names.sort_by_key(|name| std::cmp::Reverse(name.wire().len()));
    Ok(names)
}

/// The longest of `zones`, which has the longest first, that holds a name.
pub fn zone_of<'a>(zones: &'a [Name], name: &[u8]) -> Option<&'a Name> {
    zones.iter().find(|zone| within(name, zone.wire()))
}

/// Of a name that a row has.
pub fn not_absolute(reason: String) -> Problem {
    Problem::new(reason, "write names absolute, with their final dot")
}

/// Whether a name is `zone` or below it, both in lower case.
pub fn within(name: &[u8], zone: &[u8]) -> bool {
    let Some(start) = name.len().checked_sub(zone.len()) else { return false };
    if name[start..] != *zone {
        return false;
    }
    // The octets are those of the zone; they are its labels only if a label begins there.
    let mut at = 0;
    while at < start {
        at += usize::from(name[at]) + 1;
    }
    at == start
}

/// Presentation form of a name in wire form.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() <= 1 {
            return out.write_str(".");
        }
        for label in labels(self.0) {
            for octet in label {
                match octet {
                    b'.' | b'\\' | b'"' => write!(out, "\\{}", char::from(*octet))?,
                    b'!'..=b'~' => write!(out, "{}", char::from(*octet))?,
                    other => write!(out, "\\{other:03}")?,
                }
            }
            out.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(&self.0).fmt(out)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

pub const NAME_MAX: usize = 255;
pub const LABEL_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presentation_and_wire() {
        for (text, wire) in [
            (".", &b"\0"[..]),
            ("svc.cluster.local.", b"\x03svc\x07cluster\x05local\0"),
            ("a\\.b.c.", b"\x03a.b\x01c\0"),
            ("\\000\\255.", b"\x02\0\xff\0"),
        ] {
            let name = Name::parse(text).unwrap();
            assert_eq!((name.wire(), name.to_string().as_str()), (wire, text));
        }
        assert_eq!(Name::parse("SVC.Local.").unwrap(), Name::parse("svc.local.").unwrap());
        assert_eq!(Name::parse("local.").unwrap().child("svc").unwrap().to_string(), "svc.local.");
        assert_eq!(Name::parse(".").unwrap().child("local").unwrap().to_string(), "local.");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = format!("{}.", "a".repeat(64));
        let longer = "abcdefg.".repeat(32);
        for text in ["", "a", "a..b.", ".a.", "\\256.", "a\\", long.as_str(), longer.as_str()] {
            let parsed = Name::parse(text);
            assert!(text.is_empty() || parsed.is_err(), "{text:?} {parsed:?}");
        }
        assert!(Name::parse(&"abcdefg.".repeat(31)).is_ok());
    }

    #[test]
    fn zones_are_whole_labels() {
        let wire = |text| Name::parse(text).unwrap();
        assert!(within(wire("a.cluster.local.").wire(), wire("cluster.local.").wire()));
        assert!(within(wire("cluster.local.").wire(), wire("cluster.local.").wire()));
        assert!(within(wire("a.").wire(), wire(".").wire()));
        assert!(!within(wire("local.").wire(), wire("cluster.local.").wire()));
        assert!(!within(wire("xcluster.local.").wire(), wire("cluster.local.").wire()));
        // The octets of `\001a.` at the end, inside a label.
        assert!(!within(wire("x\\001a.").wire(), wire("a.").wire()));
    }
}
