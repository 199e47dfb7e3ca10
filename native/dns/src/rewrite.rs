//! The rewrite step, of names: the steps behind it are asked for another name, and the answer is given for the one that was
//! asked. Rules compare and write presentation form; `regex` is the syntax of RE2, in linear time.

use crate::name::{Name, Shown};
use crate::step::Problem;
use regex::Regex;
use wire::corefile::{self, Change, How, TextPart};

pub struct Rewrite {
    rules: Vec<Rule>,
}

struct Rule {
    stop: bool,
    matching: Matching,
    to: Vec<TextPart>,
}

enum Matching {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Substring(String),
    Regex(Box<Regex>),
}

impl Rewrite {
    pub fn new(step: &corefile::Rewrite) -> Result<Rewrite, Problem> {
        let rule = |rule: &corefile::RewriteRule| {
            let unbuilt = |what: &str| Problem::new(format!("rewrite {what} is not served yet"), "remove the rule");
            let (matching, to) = match &rule.change {
                Change::Name { matching, to, answer, .. } if answer.is_empty() => (matching, to),
                Change::Name { .. } => return Err(unbuilt("name with answer rules")),
                Change::Type { .. } => return Err(unbuilt("type")),
                Change::Class { .. } => return Err(unbuilt("class")),
                Change::Edns0 { .. } => return Err(unbuilt("edns0")),
                Change::Ttl { .. } => return Err(unbuilt("ttl")),
                Change::Rcode { .. } => return Err(unbuilt("rcode")),
                Change::Cname { .. } => return Err(unbuilt("cname")),
            };
            Ok(Rule { stop: rule.stop, matching: Matching::new(matching)?, to: to.clone() })
        };
        Ok(Rewrite { rules: step.rules.iter().map(rule).collect::<Result<_, _>>()? })
    }

    /// The name to ask for; `None`: the one that was asked. A name that is none any more is left as it was.
    pub fn name(&self, asked: &[u8]) -> Option<Name> {
        let (mut name, mut changed) = (Shown(asked).to_string(), None);
        for rule in &self.rules {
            let Some(text) = rule.matching.replace(&name, &rule.to) else { continue };
            let Ok(next) = Name::parse(&text.to_ascii_lowercase()) else { continue };
            (name, changed) = (text, Some(next));
            if rule.stop {
                break;
            }
        }
        changed
    }
}

impl Matching {
    fn new(matching: &corefile::Matching) -> Result<Matching, Problem> {
        let text = matching.text.clone();
        Ok(match matching.how {
            How::Exact => Matching::Exact(text),
            How::Prefix => Matching::Prefix(text),
            How::Suffix => Matching::Suffix(text),
            How::Substring => Matching::Substring(text),
            How::Regex => {
                let pattern = Regex::new(&text);
                Matching::Regex(Box::new(
                    pattern.map_err(|error| Problem::new(error.to_string(), "correct the pattern"))?,
                ))
            }
        })
    }

    /// The whole name anew, if it matches.
    fn replace(&self, name: &str, to: &[TextPart]) -> Option<String> {
        let plain = || -> String {
            to.iter().filter_map(|part| if let TextPart::Text(text) = part { Some(&text[..]) } else { None }).collect()
        };
        match self {
            Matching::Exact(text) => (name == text).then(plain),
            Matching::Prefix(text) => Some(plain() + name.strip_prefix(&text[..])?),
            Matching::Suffix(text) => Some(name.strip_suffix(&text[..])?.to_string() + &plain()),
            Matching::Substring(text) => name.contains(&text[..]).then(|| name.replace(&text[..], &plain())),
            Matching::Regex(pattern) => {
                let groups = pattern.captures(name)?;
                let part = |part: &TextPart| match part {
                    TextPart::Text(text) => text.clone(),
                    TextPart::Group(number) => {
                        groups.get((*number).into()).map_or_else(String::new, |group| group.as_str().to_string())
                    }
                };
                Some(to.iter().map(part).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(rules: &str, name: &str) -> Option<String> {
        let step: corefile::Rewrite = serde_json::from_str(&format!(r#"{{"rules":[{rules}]}}"#)).unwrap();
        let name = Name::parse(name).unwrap();
        Rewrite::new(&step).unwrap().name(name.wire()).map(|name| name.to_string())
    }

    fn rule(how: &str, text: &str, to: &str, stop: bool) -> String {
        format!(
            r#"{{"stop":{stop},"change":{{"field":"name","matching":{{"how":"{how}","text":"{text}"}},"to":[{to}],"auto":true,"answer":[]}}}}"#
        )
    }

    #[test]
    fn names_are_rewritten() {
        let text = |text: &str| format!(r#"{{"text":"{text}"}}"#);
        for (how, from, to, name, expected) in [
            ("exact", "a.org.", text("b.net."), "a.org.", Some("b.net.")),
            ("exact", "a.org.", text("b.net."), "x.a.org.", None),
            ("prefix", "a-", text("b-"), "a-x.org.", Some("b-x.org.")),
            ("suffix", ".org.", text(".net."), "a.org.", Some("a.net.")),
            ("substring", "a", text("b"), "a.ca.", Some("b.cb.")),
            (
                "regex",
                "(.*)-(us)\\\\.org\\\\.$",
                r#"{"group":2},{"text":"."},{"group":1},{"text":".net."}"#.to_string(),
                "x-us.org.",
                Some("us.x.net."),
            ),
            ("exact", "a.org.", text("no name"), "a.org.", None),
        ] {
            assert_eq!(rewritten(&rule(how, from, &to, true), name).as_deref(), expected, "{how} {from}");
        }
        let both = |stop| rule("exact", "a.", &text("b."), stop) + "," + &rule("exact", "b.", &text("c."), true);
        assert_eq!(rewritten(&both(true), "a.").as_deref(), Some("b."));
        assert_eq!(rewritten(&both(false), "a.").as_deref(), Some("c."));
    }
}
