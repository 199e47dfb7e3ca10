//! What a route asks of a request besides host and path.

use super::Problem;
use super::route::pattern;
use hyper::Method;
use hyper::header::{COOKIE, HeaderMap, HeaderName};
use regex::Regex;
use std::borrow::Cow;
use wire::proxy::{self, On, ValueMatch};

pub struct Condition {
    on: Place,
    value: Value,
}

enum Place {
    Method,
    Header(HeaderName),
    Query(String),
    Cookie(String),
}

enum Value {
    Exact(String),
    Pattern(Regex),
    Present,
    Absent,
}

/// Of a request. The path is normal.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub method: &'a Method,
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
}

impl Condition {
    pub fn new(row: &proxy::Condition) -> Result<Condition, Problem> {
        let on = match row.on {
            On::Method => Place::Method,
            On::Header => Place::Header(HeaderName::from_bytes(row.name.as_bytes()).map_err(|_| {
                Problem::new(format!("{:?} is no name of a header field", row.name), "correct the condition")
            })?),
            On::Query => Place::Query(row.name.clone()),
            On::Cookie => Place::Cookie(row.name.clone()),
        };
        let value = match &row.value {
            ValueMatch::Exact(text) => Value::Exact(text.clone()),
            ValueMatch::Pattern(text) => Value::Pattern(pattern(text, false)?),
            ValueMatch::Present => Value::Present,
            ValueMatch::Absent => Value::Absent,
        };
        Ok(Condition { on, value })
    }

    pub fn holds(&self, asked: &Asked<'_>) -> bool {
        match &self.on {
            Place::Method => self.value.fits(Some(asked.method.as_str())),
            Place::Header(name) => self.value.fits(header(asked.headers, name).as_deref()),
            Place::Query(name) => self.value.fits(query(asked.query.unwrap_or_default(), name).as_deref()),
            Place::Cookie(name) => self.value.fits(cookie(asked.headers, name)),
        }
    }
}

impl Value {
    fn fits(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (Value::Exact(wanted), Some(value)) => wanted == value,
            (Value::Pattern(wanted), Some(value)) => wanted.is_match(value),
            (Value::Present, value) => value.is_some(),
            (Value::Absent, value) => value.is_none(),
            (_, None) => false,
        }
    }
}

/// All lines of that name, as one (RFC 9110 5.3).
fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, str>> {
    let mut lines = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    let first = lines.next()?;
    Some(lines.fold(first, |all, line| Cow::Owned(format!("{all}, {line}"))))
}

/// The first of that name, decoded.
fn query<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key) == name).then(|| decoded(value))
    })
}

/// The first of that name.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';')).find_map(
        |pair| {
            let (key, value) = pair.split_once('=')?;
            (key.trim() == name).then(|| value.trim())
        },
    )
}

fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let octets = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(octets.len()), 0);
    while at < octets.len() {
        let digit = |at: usize| octets.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (octets[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                plain.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => plain.push(b' '),
            (octet, ..) => plain.push(octet),
        }
        at += 1;
    }
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}
