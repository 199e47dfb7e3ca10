//! What rewrite does to an answer.

use super::edns0;
use super::matching::filled;
use crate::layer::named;
use crate::message::{Message, Record};
use crate::name::Shown;
use crate::packet;
use regex::Regex;
use wire::corefile::TextPart;

/// A change of an answer. They are made in the reverse of the order in which their rules applied.
pub enum Undo {
    Owner(Back),
    Target(Back),
    Ttl(u32, u32),
    Code(u16, u16),
    Option(edns0::Undo),
    /// The rule with this number, whose aliases are looked up anew.
    Alias(usize),
}

/// From the name that was looked up to the one that was asked for.
#[derive(Clone)]
pub enum Back {
    /// A name, and those below it.
    Name(String, String),
    Suffix(String, String),
    Pattern(Regex, Vec<TextPart>),
}

impl Back {
    fn text(&self, name: &str) -> Option<String> {
        match self {
            Back::Name(from, to) => {
                let before = name.strip_suffix(&from[..])?;
                (before.is_empty() || before.ends_with('.')).then(|| format!("{before}{to}"))
            }
            Back::Suffix(from, to) => Some(format!("{}{to}", name.strip_suffix(&from[..])?)),
            Back::Pattern(pattern, to) => Some(filled(to, &pattern.captures(name)?)),
        }
    }

    /// `None`: it stays as it is.
    fn name(&self, name: &[u8]) -> Option<Vec<u8>> {
        named(&self.text(&Shown(&name.to_ascii_lowercase()).to_string())?)
    }
}

impl Undo {
    pub fn apply(&self, message: &mut Message) {
        match self {
            Undo::Code(from, to) if message.code == *from => message.code = *to,
            Undo::Code(..) | Undo::Alias(_) => {}
            Undo::Option(edns0::Undo::Remove(code)) => message.options.retain(|(held, _)| held != code),
            Undo::Option(edns0::Undo::Restore(code, data)) => {
                message.options.iter_mut().filter(|(held, _)| held == code).for_each(|(_, held)| *held = data.clone());
            }
            Undo::Owner(back) => {
                for record in message.sections() {
                    record.owner = back.name(&record.owner).unwrap_or_else(|| std::mem::take(&mut record.owner));
                }
            }
            Undo::Target(back) => message.sections().for_each(|record| retarget(record, |name| back.name(name))),
            Undo::Ttl(min, max) => message.sections().for_each(|record| record.ttl = record.ttl.clamp(*min, *max)),
        }
    }
}

/// Writes another name into the data of a record.
pub fn retarget(record: &mut Record, to: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let Some(place) = record.target() else { return };
    if let Some(name) = to(&record.data[place.clone()]) {
        record.data.splice(place, name);
    }
}

/// The first alias in an answer that leads to another name by `to`: its index and that name.
pub fn redirected(message: &Message, to: impl Fn(&str) -> Option<String>) -> Option<(usize, Vec<u8>)> {
    message.answer.iter().enumerate().filter(|(_, record)| record.kind == packet::CNAME).find_map(|(at, record)| {
        let target = Shown(&record.data.to_ascii_lowercase()).to_string();
        Some((at, named(&to(&target).filter(|other| *other != target)?.to_ascii_lowercase())?))
    })
}
