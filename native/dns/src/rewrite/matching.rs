//! Names by rules: compared and written in presentation form, in lower case and with their final dot. `regex` is the syntax
//! of RE2, in linear time.

use regex::{Captures, Regex};
use supervisor::Problem;
use wire::corefile::{self, How, TextPart};

pub enum Matching {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Substring(String),
    Regex(Box<Regex>),
}

impl Matching {
    pub fn new(matching: &corefile::Matching) -> Result<Matching, Problem> {
        let text = matching.text.clone();
        Ok(match matching.how {
            How::Exact => Matching::Exact(text),
            How::Prefix => Matching::Prefix(text),
            How::Suffix => Matching::Suffix(text),
            How::Substring => Matching::Substring(text),
            How::Regex => Matching::Regex(Box::new(pattern(&text)?)),
        })
    }

    pub fn holds(&self, name: &str) -> bool {
        match self {
            Matching::Exact(text) => name == text,
            Matching::Prefix(text) => name.starts_with(&text[..]),
            Matching::Suffix(text) => name.ends_with(&text[..]),
            Matching::Substring(text) => name.contains(&text[..]),
            Matching::Regex(pattern) => pattern.is_match(name),
        }
    }

    /// The whole name anew, if it matches.
    pub fn replace(&self, name: &str, to: &[TextPart]) -> Option<String> {
        match self {
            Matching::Exact(text) => (name == text).then(|| plain(to)),
            Matching::Prefix(text) => Some(plain(to) + name.strip_prefix(&text[..])?),
            Matching::Suffix(text) => Some(name.strip_suffix(&text[..])?.to_string() + &plain(to)),
            Matching::Substring(text) => name.contains(&text[..]).then(|| name.replace(&text[..], &plain(to))),
            Matching::Regex(pattern) => Some(filled(to, &pattern.captures(name)?)),
        }
    }

    /// What takes the place of a suffix, and the suffix.
    pub fn suffix(&self, to: &[TextPart]) -> Option<(String, String)> {
        match self {
            Matching::Suffix(text) => Some((plain(to), text.clone())),
            _ => None,
        }
    }
}

pub fn pattern(text: &str) -> Result<Regex, Problem> {
    Regex::new(text).map_err(|error| Problem::new(error.to_string(), "correct the pattern"))
}

/// Text with the groups of a match in its holes.
pub fn filled(parts: &[TextPart], groups: &Captures) -> String {
    let part = |part: &TextPart| match part {
        TextPart::Text(text) => text.clone(),
        TextPart::Group(number) => {
            groups.get((*number).into()).map_or_else(String::new, |group| group.as_str().to_string())
        }
        // Its value stands there as text by now.
        TextPart::Metadata(_) => String::new(),
    };
    parts.iter().map(part).collect()
}

fn plain(to: &[TextPart]) -> String {
    to.iter().filter_map(|part| if let TextPart::Text(text) = part { Some(&text[..]) } else { None }).collect()
}
