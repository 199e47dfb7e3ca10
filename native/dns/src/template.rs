//! The template step: answers made from the name that was asked for.

use crate::given::Given;
use crate::name::{Name, Shown, names, within, zone_of};
use crate::packet;
use crate::record::{FIXED_BYTES, encode};
use crate::reply::{Reply, Section, pointer};
use crate::zone::Place;
use regex::{Captures, Regex};
use std::net::IpAddr;
use supervisor::Problem;
use wire::corefile::{self, ExtendedError, TemplatePart, TemplateRecord};
use wire::names::NameRecord;

pub struct Template {
    rules: Vec<Rule>,
}

struct Rule {
    class: u16,
    kind: u16,
    zones: Vec<Name>,
    patterns: Vec<Regex>,
    /// Answer, authority, additional.
    sections: [Vec<TemplateRecord>; 3],
    code: u16,
    extended_error: Option<ExtendedError>,
    fallthrough: Vec<Name>,
}

/// What the holes of a record are filled from.
struct Filling<'a> {
    name: &'a str,
    zone: &'a Name,
    kind: u16,
    class: u16,
    client: IpAddr,
    groups: Captures<'a>,
}

impl Template {
    pub fn new(step: &corefile::Template) -> Result<Template, Problem> {
        let rule = |rule: &corefile::TemplateRule| {
            let all = vec![String::new()];
            let patterns = if rule.patterns.is_empty() { &all } else { &rule.patterns };
            let pattern = |text: &String| {
                Regex::new(text).map_err(|error| Problem::new(error.to_string(), "correct the pattern"))
            };
            Ok(Rule {
                class: rule.class,
                kind: rule.kind,
                zones: names(&rule.zones)?,
                patterns: patterns.iter().map(pattern).collect::<Result<_, _>>()?,
                sections: [rule.answer.clone(), rule.authority.clone(), rule.additional.clone()],
                code: rule.rcode,
                extended_error: rule.extended_error.clone(),
                fallthrough: names(rule.fallthrough.as_deref().unwrap_or_default())?,
            })
        };
        Ok(Template { rules: step.templates.iter().map(rule).collect::<Result<_, _>>()? })
    }

    pub fn answer(&self, asked: Place, kind: u16, client: IpAddr, reply: &mut Reply) -> Given {
        let name = Shown(asked.name).to_string();
        for rule in &self.rules {
            let Some(zone) = zone_of(&rule.zones, asked.name) else { continue };
            let differs = |ours: u16, theirs: u16| ![ours, theirs].contains(&packet::ANY) && ours != theirs;
            if differs(rule.kind, kind) || differs(rule.class, reply.class) {
                continue;
            }
            match rule.patterns.iter().find_map(|pattern| pattern.captures(&name)) {
                Some(groups) => {
                    let filling = Filling { name: &name, zone, kind, class: reply.class, client, groups };
                    return rule.put(asked, &filling, reply).unwrap_or(Given::Done(packet::SERVER_FAILURE));
                }
                None if rule.fallthrough.iter().any(|zone| within(asked.name, zone.wire())) => {}
                None => return Given::Done(packet::SERVER_FAILURE),
            }
        }
        Given::Pass
    }
}

impl Rule {
    /// `None`: what was filled in is no record.
    fn put(&self, asked: Place, filling: &Filling, reply: &mut Reply) -> Option<Given> {
        if let Some(error) = &self.extended_error {
            reply.extended_error(error.code, &error.text);
        }
        let mut alias = None;
        for (section, records) in
            [Section::Answer, Section::Authority, Section::Additional].into_iter().zip(&self.sections)
        {
            for record in records {
                let owner = Name::parse(&filling.text(&record.owner)).ok()?;
                let here = pointer(asked.offset)?.to_be_bytes();
                let owner = if owner.wire() == asked.name { &here } else { owner.wire() };
                let data = filling.data(record)?;
                let start = reply.record(section, owner, record.kind, record.ttl, &[&data]);
                if section == Section::Answer {
                    alias = start
                        .filter(|_| record.kind == packet::CNAME)
                        .map(|start| start + owner.len() - 2 + FIXED_BYTES);
                }
            }
        }
        Some(match alias {
            // What an alias stands for is looked up by the whole chain, unless the template says it.
            Some(offset) if ![packet::CNAME, packet::ANY].contains(&filling.kind) && self.code == packet::NO_ERROR => {
                Given::Elsewhere { offset }
            }
            _ => Given::Done(self.code),
        })
    }
}

impl Filling<'_> {
    fn text(&self, parts: &[TemplatePart]) -> String {
        let group = |found: Option<regex::Match>| found.map_or_else(String::new, |found| found.as_str().to_string());
        let named = |name: &str| match name.parse() {
            Ok(number) => group(self.groups.get(number)),
            Err(_) => group(self.groups.name(name)),
        };
        let part = |part: &TemplatePart| match part {
            TemplatePart::Text(text) => text.clone(),
            TemplatePart::Name => self.name.to_string(),
            TemplatePart::Zone => self.zone.to_string(),
            TemplatePart::Class => match self.class {
                packet::IN => "IN".to_string(),
                packet::CHAOS => "CH".to_string(),
                other => format!("CLASS{other}"),
            },
            TemplatePart::Type => match crate::metrics::TYPES.iter().find(|(number, _)| *number == self.kind) {
                Some((_, name)) => name.to_string(),
                None => format!("TYPE{}", self.kind),
            },
            TemplatePart::Remote => self.client.to_string(),
            TemplatePart::Group(number) => group(self.groups.get((*number).into())),
            TemplatePart::NamedGroup(name) => named(name),
            TemplatePart::Number { group, base, bits } => {
                let value = i64::from_str_radix(&named(group), u32::from(*base).clamp(2, 36)).ok();
                // A number that does not fit its bits is none, and then the record is none.
                value
                    .filter(|value| *bits == 0 || *bits >= 64 || *value >> (*bits - 1) == 0)
                    .map_or_else(String::new, |value| value.to_string())
            }
        };
        parts.iter().map(part).collect()
    }

    /// In wire form.
    fn data(&self, record: &TemplateRecord) -> Option<Vec<u8>> {
        let fields: Vec<String> = record.data.iter().map(|parts| self.text(parts)).collect();
        let name =
            |at: usize| fields.get(at).map(|text| if text.ends_with('.') { text.clone() } else { format!("{text}.") });
        let number = |at: usize| fields.get(at)?.parse::<u32>().ok();
        let short = |at: usize| number(at).and_then(|number| u16::try_from(number).ok());
        let ttl = None;
        let record = match record.kind {
            packet::A => NameRecord::A { ip: fields.first()?.parse().ok()?, ttl },
            packet::AAAA => NameRecord::Aaaa { ip: fields.first()?.parse().ok()?, ttl },
            packet::NS => NameRecord::Ns { target: name(0)?, ttl },
            packet::CNAME => NameRecord::Cname { target: name(0)?, ttl },
            packet::PTR => NameRecord::Ptr { target: name(0)?, ttl },
            packet::MX => NameRecord::Mx { preference: short(0)?, target: name(1)?, ttl },
            packet::SRV => {
                NameRecord::Srv { priority: short(0)?, weight: short(1)?, port: short(2)?, target: name(3)?, ttl }
            }
            packet::TXT => NameRecord::Txt { texts: fields, ttl },
            packet::SOA => NameRecord::Soa {
                mname: name(0)?,
                rname: name(1)?,
                serial: number(2)?,
                refresh: number(3)?,
                retry: number(4)?,
                expire: number(5)?,
                minimum: number(6)?,
                ttl,
            },
            CAA => {
                let (tag, value) = (fields.get(1)?, fields.get(2)?);
                let head = [u8::try_from(number(0)?).ok()?, u8::try_from(tag.len()).ok()?];
                return Some([&head, tag.as_bytes(), value.as_bytes()].concat());
            }
            _ => return None,
        };
        encode(&record).ok().map(|(_, _, data)| data)
    }
}

const CAA: u16 = 257;
