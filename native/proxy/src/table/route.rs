//! A route's row, read.

use super::Problem;
use super::condition::{Asked, Condition};
use super::path::normalize_row;
use crate::client::exchange::CHALLENGE;
use crate::client::mirror::Mirror;
use crate::filter::Chain;
use crate::record::labels::Labels;
use crate::variable::Template;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use regex::{Regex, RegexBuilder};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use wire::proxy::{self, PathMatch};

pub struct Route {
    pub key: String,
    pub rank: u64,
    pub host: String,
    pub listeners: Vec<String>,
    pub path: Path,
    pub conditions: Vec<Condition>,
    pub action: Action,
    pub filters: Chain,
    pub labels: Arc<Labels>,
}

/// Prefixes without the slash at their end: `/` is empty.
pub enum Path {
    Exact(String),
    Prefix(String),
    Start(String),
    Pattern(Regex),
}

pub enum Action {
    Forward(Forward),
    Redirect(Redirect),
    Respond(Respond),
}

pub struct Forward {
    pub clusters: Vec<Share>,
    /// Of all weights.
    pub total: u64,
    pub rewrite: Option<proxy::Replacement>,
    pub host: Option<HeaderValue>,
    pub timeouts: Timeouts,
    pub retry: proxy::Retry,
    pub body_max_bytes: u64,
    pub buffer_request: bool,
    /// 0: no more than is on its way anyhow.
    pub buffer_response_bytes: usize,
    pub mirrors: Vec<Mirror>,
}

pub struct Share {
    pub cluster: String,
    pub weight: u32,
    /// Only for requests that go to it.
    pub filters: Option<Box<Chain>>,
}

#[derive(Clone, Copy)]
pub struct Timeouts {
    pub connect: Duration,
    pub read: Duration,
    pub send: Duration,
    pub request: Option<Duration>,
}

pub struct Redirect {
    pub status: StatusCode,
    pub location: Option<Template>,
    pub scheme: Option<String>,
    pub host: Option<String>,
    pub port: Option<u16>,
    pub path: Option<proxy::Replacement>,
}

pub struct Respond {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: String,
}

impl Route {
    pub fn new(key: &str, row: &proxy::Route) -> Result<Route, Problem> {
        let path = |text: &str| {
            normalize_row(text).map_err(|why| Problem::new(format!("path {text:?}: {why}"), "correct the path"))
        };
        let action = match &row.action {
            proxy::Action::Forward(row) => Action::Forward(Forward::new(row)?),
            proxy::Action::Redirect(row) => Action::Redirect(Redirect::new(row)?),
            proxy::Action::Respond(row) => Action::Respond(Respond::new(row)?),
        };
        let mut filters = Chain::new(row.filters.as_deref())?;
        if let Action::Forward(forward) = &action {
            for own in forward.clusters.iter().filter_map(|share| share.filters.as_deref()) {
                filters.keeps |= own.keeps;
                filters.keeps_answer |= own.keeps_answer;
            }
        }
        Ok(Route {
            key: key.to_string(),
            rank: row.rank,
            host: row.host.clone(),
            listeners: row.listeners.clone(),
            path: match &row.path {
                PathMatch::Exact(text) => Path::Exact(path(text)?),
                PathMatch::Prefix(text) => Path::Prefix(path(text)?.trim_end_matches('/').to_string()),
                PathMatch::Start(text) => Path::Start(path(text)?),
                PathMatch::Pattern(row) => Path::Pattern(pattern(&format!("^(?:{})", row.pattern), row.ignore_case)?),
            },
            conditions: row.conditions.iter().map(Condition::new).collect::<Result<_, _>>()?,
            action,
            filters,
            labels: Labels::new(&row.host, &row.labels),
        })
    }

    pub fn holds(&self, asked: &Asked<'_>) -> bool {
        self.conditions.iter().all(|condition| condition.holds(asked))
    }

    /// It was made for ACME challenges, by somebody who answers them himself.
    pub fn is_challenge(&self) -> bool {
        match &self.path {
            Path::Exact(text) | Path::Start(text) => text.starts_with(CHALLENGE),
            Path::Prefix(text) => text.starts_with(CHALLENGE.trim_end_matches('/')),
            Path::Pattern(_) => false,
        }
    }

    /// What the path becomes; a query when the replacement has one.
    pub fn replace<'a>(&self, by: &'a proxy::Replacement, path: &'a str) -> (Cow<'a, str>, Option<String>) {
        match by {
            proxy::Replacement::Full(full) => (Cow::Borrowed(full), None),
            proxy::Replacement::Prefix(prefix) => (self.replace_prefix(prefix, path), None),
            proxy::Replacement::Pattern(text) => {
                let Path::Pattern(regex) = &self.path else { return (Cow::Borrowed(text), None) };
                let mut expanded = String::new();
                if let Some(groups) = regex.captures(path) {
                    groups.expand(text, &mut expanded);
                }
                let query = expanded.split_once('?').map(|(_, query)| query.to_string());
                expanded.truncate(expanded.find('?').unwrap_or(expanded.len()));
                if !expanded.starts_with('/') {
                    expanded.insert(0, '/');
                }
                (Cow::Owned(expanded), query)
            }
        }
    }

    fn replace_prefix<'a>(&self, by: &'a str, path: &'a str) -> Cow<'a, str> {
        let matched = match &self.path {
            Path::Exact(text) => text.len(),
            Path::Prefix(text) | Path::Start(text) => text.len(),
            Path::Pattern(regex) => regex.find(path).map_or(0, |found| found.end()),
        };
        let rest = &path[matched.min(path.len())..];
        let joined = match &self.path {
            Path::Prefix(_) => format!("{}{rest}", by.trim_end_matches('/')),
            _ => format!("{by}{rest}"),
        };
        if joined.starts_with('/') { Cow::Owned(joined) } else { Cow::Owned(format!("/{joined}")) }
    }
}

impl Forward {
    fn new(row: &proxy::Forward) -> Result<Forward, Problem> {
        let milliseconds = |time: u32| Duration::from_millis(time.into());
        Ok(Forward {
            clusters: row.clusters.iter().map(Share::new).collect::<Result<_, _>>()?,
            total: row.clusters.iter().map(|cluster| u64::from(cluster.weight)).sum(),
            rewrite: row.rewrite.clone(),
            host: row.host.as_deref().map(header).transpose()?,
            timeouts: Timeouts {
                connect: milliseconds(row.timeouts.connect_ms),
                read: milliseconds(row.timeouts.read_ms),
                send: milliseconds(row.timeouts.send_ms),
                request: (row.timeouts.request_ms > 0).then(|| milliseconds(row.timeouts.request_ms)),
            },
            retry: row.retry.clone(),
            body_max_bytes: row.body_max_bytes.unwrap_or(u64::MAX),
            buffer_request: row.buffer_request,
            buffer_response_bytes: row.buffer_response_bytes as usize,
            mirrors: row.mirrors.iter().map(Mirror::new).collect::<Result<_, _>>()?,
        })
    }

    /// By weight; `chance` is any number.
    pub fn share(&self, chance: u64) -> Option<&Share> {
        if let [share @ Share { weight: 1.., .. }] = &self.clusters[..] {
            return Some(share);
        }
        let mut at = chance.checked_rem(self.total)?;
        for share in &self.clusters {
            match at.checked_sub(u64::from(share.weight)) {
                Some(rest) => at = rest,
                None => return Some(share),
            }
        }
        None
    }
}

impl Share {
    fn new(row: &proxy::Weighted) -> Result<Share, Problem> {
        let filters = row.filters.is_some().then(|| Chain::new(row.filters.as_deref()).map(Box::new)).transpose()?;
        Ok(Share { cluster: row.cluster.clone(), weight: row.weight, filters })
    }
}

impl Redirect {
    fn new(row: &proxy::Redirect) -> Result<Redirect, Problem> {
        Ok(Redirect {
            status: status(row.status)?,
            location: row.location.as_deref().map(Template::new).transpose()?,
            scheme: row.scheme.clone(),
            host: row.host.clone(),
            port: row.port,
            path: row.path.clone(),
        })
    }
}

impl Respond {
    fn new(row: &proxy::Respond) -> Result<Respond, Problem> {
        let field = |(name, value): &(String, String)| {
            let wrong = |_| Problem::new(format!("{name:?} is no name of a header field"), "correct the name");
            Ok((HeaderName::from_bytes(name.as_bytes()).map_err(wrong)?, header(value)?))
        };
        Ok(Respond {
            status: status(row.status)?,
            headers: row.headers.iter().map(field).collect::<Result<_, Problem>>()?,
            body: row.body.clone(),
        })
    }
}

/// Linear in time; bounded in memory.
pub fn pattern(text: &str, ignore_case: bool) -> Result<Regex, Problem> {
    if text.len() > PATTERN_MAX_BYTES {
        return Err(Problem::new("a pattern is longer than 10,000 octets", "make it shorter"));
    }
    RegexBuilder::new(text).case_insensitive(ignore_case).size_limit(PROGRAM_MAX_BYTES).build().map_err(|error| {
        let what = error.to_string();
        let line = what.lines().last().unwrap_or_default().trim();
        Problem::new(format!("the pattern {text:?} cannot be used: {line}"), "write it as RE2 reads it, and shorter")
    })
}

fn status(status: u16) -> Result<StatusCode, Problem> {
    let usable = StatusCode::from_u16(status).ok().filter(|status| !status.is_informational() && status.as_u16() < 600);
    usable.ok_or_else(|| Problem::new(format!("{status} is no status of a response"), "use 200 to 599"))
}

fn header(value: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(value)
        .map_err(|_| Problem::new(format!("{value:?} cannot be sent in a header field"), "use visible characters"))
}

const PATTERN_MAX_BYTES: usize = 10_010;
const PROGRAM_MAX_BYTES: usize = 1 << 20;
