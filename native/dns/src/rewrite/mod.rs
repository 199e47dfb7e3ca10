//! The rewrite step: the steps behind it are asked something else than the client asked, and their answer is changed back, or
//! into what the rules say.

mod answer;
mod edns0;
mod matching;

use crate::layer::{Answered, Layers, Request, named};
use crate::lookup::Lookup;
use crate::message::Message;
use crate::name::Shown;
use crate::packet;
use crate::trace::Trace;
use answer::{Back, Undo, redirected};
use edns0::Edns0;
use matching::{Matching, pattern};
use std::borrow::Cow;
use supervisor::Problem;
use wire::corefile::{self, AnswerPart, TextPart};

pub struct Rewrite {
    rules: Vec<(bool, Rule)>,
}

enum Rule {
    Name { matching: Matching, to: Vec<TextPart>, auto: bool, answer: Vec<(AnswerPart, Back)> },
    Type(u16, u16),
    Class(u16, u16),
    Edns0(Edns0),
    Ttl(Matching, u32, u32),
    Code(Matching, u16, u16),
    Alias(Matching, Vec<TextPart>),
}

/// A name that the rules made is none.
struct NoName;

impl Rewrite {
    pub fn new(step: &corefile::Rewrite) -> Result<Rewrite, Problem> {
        let rules = step.rules.iter().map(|rule| Ok((rule.stop, Rule::new(&rule.change)?)));
        Ok(Rewrite { rules: rules.collect::<Result<_, _>>()? })
    }

    /// Whether a rule is for such a question: if none is for it as it is, none ever comes to be.
    pub fn concerns(&self, name: &[u8], kind: u16, class: u16) -> bool {
        let text = Shown(name).to_string();
        self.rules.iter().any(|(_, rule)| match rule {
            Rule::Name { matching, .. } | Rule::Ttl(matching, ..) | Rule::Code(matching, ..) => matching.holds(&text),
            Rule::Type(from, _) => *from == kind,
            Rule::Class(from, _) => *from == class,
            Rule::Edns0(_) | Rule::Alias(..) => true,
        })
    }

    pub fn answer(&self, layers: &Layers, next: usize, request: &Request) -> Answered {
        let Ok((rewritten, undo)) = self.apply(request, &layers.lookup) else {
            return Ok(Some(Message { code: packet::SERVER_FAILURE, ..Message::default() }));
        };
        let trace = layers.lookup.trace;
        let mark = trace.map_or(0, Trace::mark);
        let asks_else =
            (&rewritten.name, rewritten.kind, rewritten.class) != (&request.name, request.kind, request.class);
        if let Some(trace) = trace.filter(|_| asks_else) {
            trace.layer(mark, request, "rewrite");
        }
        let Some(mut message) = layers.below(next, &rewritten)? else { return Ok(None) };
        let before = trace.filter(|_| !asks_else).map(|trace| (trace, message.clone()));
        let changed = rewritten.options.iter().filter(|(code, _)| rewritten.told.contains(code));
        message.options.extend(changed.cloned());
        for change in undo.iter().rev() {
            change.apply(&mut message);
            if let Undo::Alias(number) = change {
                message = self.redirect(*number, layers, &rewritten, message)?;
            }
        }
        if let Some((trace, _)) = before.filter(|(_, before)| *before != message) {
            trace.layer(mark, request, "rewrite");
        }
        Ok(Some(message))
    }

    /// What is asked instead, and how the answer is changed.
    fn apply(&self, request: &Request, lookup: &Lookup) -> Result<(Request, Vec<Undo>), NoName> {
        let (mut rewritten, mut undo) = (request.clone(), Vec::new());
        for (number, (stop, rule)) in self.rules.iter().enumerate() {
            if rule.apply(number, &mut rewritten, lookup, &mut undo)? && *stop {
                break;
            }
        }
        Ok((rewritten, undo))
    }

    /// What an alias that a rule gave another target leads to.
    fn redirect(
        &self,
        number: usize,
        layers: &Layers,
        request: &Request,
        mut message: Message,
    ) -> Result<Message, crate::known::Wanted> {
        let Some((_, Rule::Alias(matching, to))) = self.rules.get(number) else { return Ok(message) };
        let Some((at, target)) = redirected(&message, |name| matching.replace(name, to)) else { return Ok(message) };
        let told = layers.whole(&request.renamed(&target))?;
        let Some(told) = told.filter(|told| told.code != packet::SERVER_FAILURE) else { return Ok(message) };
        message.answer.truncate(at + 1);
        message.answer.retain(|record| record.kind == packet::CNAME);
        if let Some(alias) = message.answer.last_mut() {
            alias.data = target;
        }
        message.answer.extend(told.answer);
        message.truncated = told.truncated;
        Ok(message)
    }
}

impl Rule {
    fn new(change: &corefile::Change) -> Result<Rule, Problem> {
        Ok(match change {
            corefile::Change::Name { matching, to, auto, answer } => {
                let change = |change: &corefile::AnswerChange| {
                    Ok((change.what, Back::Pattern(pattern(&change.pattern)?, change.to.clone())))
                };
                let answer = answer.iter().map(change).collect::<Result<_, _>>()?;
                Rule::Name { matching: Matching::new(matching)?, to: to.clone(), auto: *auto, answer }
            }
            corefile::Change::Type { from, to } => Rule::Type(*from, *to),
            corefile::Change::Class { from, to } => Rule::Class(*from, *to),
            corefile::Change::Edns0 { action, option, revert } => Rule::Edns0(Edns0::new(*action, option, *revert)?),
            corefile::Change::Ttl { min, max, .. } if min > max => {
                return Err(Problem::new(format!("the TTL {min} is above {max}"), "write the smaller one first"));
            }
            corefile::Change::Ttl { matching, min, max } => Rule::Ttl(Matching::new(matching)?, *min, *max),
            corefile::Change::Rcode { matching, from, to } => Rule::Code(Matching::new(matching)?, *from, *to),
            corefile::Change::Cname { matching, to } => Rule::Alias(Matching::new(matching)?, to.clone()),
        })
    }

    /// Whether it was for the question.
    fn apply(
        &self,
        number: usize,
        request: &mut Request,
        lookup: &Lookup,
        undo: &mut Vec<Undo>,
    ) -> Result<bool, NoName> {
        let text = Shown(&request.lower()).to_string();
        match self {
            Rule::Name { matching, to, auto, answer } => {
                let Some(to) = known(to, lookup) else { return Ok(false) };
                let Some(other) = matching.replace(&text, &to).map(|other| other.to_ascii_lowercase()) else {
                    return Ok(false);
                };
                let back = matching.suffix(&to).map(|(from, to)| Back::Suffix(from, to));
                let back = back.unwrap_or_else(|| Back::Name(other.clone(), text));
                if *auto {
                    undo.extend([Undo::Owner(back.clone()), Undo::Target(back)]);
                }
                undo.extend(answer.iter().map(|(what, back)| match what {
                    AnswerPart::Name => Undo::Owner(back.clone()),
                    AnswerPart::Value => Undo::Target(back.clone()),
                }));
                request.name = named(&other).ok_or(NoName)?;
            }
            Rule::Type(from, to) if request.kind == *from => request.kind = *to,
            Rule::Class(from, to) if request.class == *from => request.class = *to,
            Rule::Edns0(option) => {
                let Some(change) = option.apply(request, lookup) else {
                    return Ok(false);
                };
                undo.extend(change.map(Undo::Option));
            }
            Rule::Ttl(matching, min, max) if matching.holds(&text) => undo.push(Undo::Ttl(*min, *max)),
            Rule::Code(matching, from, to) if matching.holds(&text) => undo.push(Undo::Code(*from, *to)),
            Rule::Alias(..) => undo.push(Undo::Alias(number)),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// With the values of labels of `metadata` as text. `None`: one of them has none.
fn known<'a>(to: &'a [TextPart], lookup: &Lookup) -> Option<Cow<'a, [TextPart]>> {
    if !to.iter().any(|part| matches!(part, TextPart::Metadata(_))) {
        return Some(Cow::Borrowed(to));
    }
    let facts = lookup.facts()?;
    let part = |part: &TextPart| match part {
        TextPart::Metadata(label) => facts.value(label).filter(|value| !value.is_empty()).map(TextPart::Text),
        other => Some(other.clone()),
    };
    to.iter().map(part).collect::<Option<Vec<_>>>().map(Cow::Owned)
}
