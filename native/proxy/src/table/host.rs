//! The routes of one host, as maps: a lookup costs what the path is long, not how many routes there are.

use super::condition::Asked;
use super::route::{Path, Route};
use foldhash::fast::FixedState;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

#[derive(Default)]
pub struct Host {
    /// By listener. Listeners with the same routes share them.
    paths: Vec<(String, Arc<Paths>)>,
}

/// Numbers are those of `routes`, each list in ascending order: the first that holds is the best of its list.
#[derive(Default)]
struct Paths {
    /// The best first.
    routes: Vec<Arc<Route>>,
    exact: Map,
    prefixes: Map,
    /// Elements of the longest prefix.
    depth: usize,
    starts: Map,
    /// Lengths of `starts`.
    lengths: Vec<usize>,
    patterns: Vec<u32>,
}

type Map = HashMap<Box<str>, Vec<u32>, FixedState>;

impl Host {
    pub fn new(routes: &[Arc<Route>]) -> Host {
        let mut sorted = routes.to_vec();
        sorted.sort_by(|a, b| (a.rank, &a.key).cmp(&(b.rank, &b.key)));
        let names: BTreeSet<&String> = routes.iter().flat_map(|route| &route.listeners).collect();
        let mut paths: Vec<(String, Arc<Paths>)> = Vec::new();
        for name in names {
            let own: Vec<_> = sorted.iter().filter(|route| route.listeners.contains(name)).cloned().collect();
            let same = |held: &&(String, Arc<Paths>)| {
                let held = &held.1.routes;
                held.len() == own.len() && held.iter().zip(&own).all(|(a, b)| Arc::ptr_eq(a, b))
            };
            let shared = paths.iter().find(same).map(|(_, paths)| paths.clone());
            paths.push((name.clone(), shared.unwrap_or_else(|| Arc::new(Paths::new(own)))));
        }
        Host { paths }
    }

    /// None: the host has no routes there. Some(None): none of them takes the request.
    pub fn find(&self, listener: &str, asked: &Asked<'_>) -> Option<Option<&Arc<Route>>> {
        let (_, paths) = self.paths.iter().find(|(name, _)| name == listener)?;
        Some(paths.find(asked))
    }
}

impl Paths {
    fn new(routes: Vec<Arc<Route>>) -> Paths {
        let mut paths = Paths::default();
        for (number, route) in routes.iter().enumerate() {
            let number = number as u32;
            match &route.path {
                Path::Exact(text) => paths.exact.entry(text.as_str().into()).or_default().push(number),
                Path::Prefix(text) => {
                    paths.depth = paths.depth.max(text.matches('/').count());
                    paths.prefixes.entry(text.as_str().into()).or_default().push(number);
                }
                Path::Start(text) => {
                    paths.lengths.push(text.len());
                    paths.starts.entry(text.as_str().into()).or_default().push(number);
                }
                Path::Pattern(_) => paths.patterns.push(number),
            }
        }
        paths.lengths.sort_unstable();
        paths.lengths.dedup();
        paths.routes = routes;
        paths
    }

    fn find(&self, asked: &Asked<'_>) -> Option<&Arc<Route>> {
        let path = asked.path;
        let mut best = Best { paths: self, asked, number: u32::MAX };
        if let Some(list) = self.exact.get(path) {
            best.take(list);
        }
        if !self.prefixes.is_empty() {
            // "", "/a", "/a/b": where an element ends.
            let ends = path.bytes().enumerate().filter_map(|(at, octet)| (octet == b'/').then_some(at));
            let whole = (!path.ends_with('/')).then_some(path.len());
            for end in ends.chain(whole).take(self.depth + 1) {
                if let Some(list) = self.prefixes.get(&path[..end]) {
                    best.take(list);
                }
            }
        }
        for length in self.lengths.iter().take_while(|length| **length <= path.len()) {
            // A start is ASCII, as the path is.
            if let Some(list) = path.get(..*length).and_then(|start| self.starts.get(start)) {
                best.take(list);
            }
        }
        best.take_if(&self.patterns, |route| matches!(&route.path, Path::Pattern(regex) if regex.is_match(path)));
        self.routes.get(best.number as usize)
    }
}

struct Best<'a> {
    paths: &'a Paths,
    asked: &'a Asked<'a>,
    number: u32,
}

impl Best<'_> {
    fn take(&mut self, list: &[u32]) {
        self.take_if(list, |_| true);
    }

    fn take_if(&mut self, list: &[u32], fits: impl Fn(&Route) -> bool) {
        for number in list.iter().take_while(|number| **number < self.number) {
            let route = &self.paths.routes[*number as usize];
            if route.holds(self.asked) && fits(route) {
                self.number = *number;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::path::{normalize, normalize_row};
    use super::*;
    use hyper::{HeaderMap, Method};
    use serde_json::{Value, json};
    use wire::proxy::{self, On, PathMatch, ValueMatch};

    /// Reads the rows themselves, one after the other, as their descriptions say.
    fn plainly<'a>(
        rows: &'a [(String, proxy::Route)],
        patterns: &HashMap<String, regex::Regex>,
        listener: &str,
        asked: &Asked<'_>,
    ) -> Option<&'a String> {
        let matches = |row: &proxy::Route| {
            let path = match &row.path {
                PathMatch::Exact(text) => normalize_row(text).unwrap() == asked.path,
                PathMatch::Prefix(text) => {
                    let text = normalize_row(text).unwrap();
                    let wanted: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
                    let has: Vec<&str> = asked.path.split('/').filter(|part| !part.is_empty()).collect();
                    has.len() >= wanted.len() && wanted.iter().zip(&has).all(|(a, b)| a == b)
                }
                PathMatch::Start(text) => asked.path.starts_with(&normalize_row(text).unwrap()),
                PathMatch::Pattern(row) => {
                    let (pattern, path) = match row.ignore_case {
                        true => (row.pattern.to_lowercase(), asked.path.to_lowercase()),
                        false => (row.pattern.clone(), asked.path.to_string()),
                    };
                    patterns[&pattern].find_iter(&path).any(|found| found.start() == 0)
                }
            };
            let condition = |row: &proxy::Condition| {
                let value = match row.on {
                    On::Method => Some(asked.method.as_str()),
                    On::Header => asked.headers.get(&row.name).map(|value| value.to_str().unwrap()),
                    On::Query => asked.query.and_then(|query| query.strip_prefix(&format!("{}=", row.name))),
                    On::Cookie => None,
                };
                match &row.value {
                    ValueMatch::Exact(text) => value == Some(text),
                    ValueMatch::Pattern(text) => value.is_some_and(|value| value.contains(text)),
                    ValueMatch::Present => value.is_some(),
                    ValueMatch::Absent => value.is_none(),
                }
            };
            path && row.listeners.iter().any(|name| name == listener) && row.conditions.iter().all(condition)
        };
        let fitting = rows.iter().filter(|(_, row)| matches(row));
        fitting.min_by_key(|(key, row)| (row.rank, key)).map(|(key, _)| key)
    }

    const PATTERNS: &[&str] = &["/a", "/(a|b)/", "/a[^/]*$", "/", "b"];

    struct Chance(u64);

    impl Chance {
        fn below(&mut self, most: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % most
        }

        fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
            choices[self.below(choices.len())]
        }

        fn path(&mut self) -> String {
            let parts =
                (0..self.below(4)).map(|_| format!("/{}", self.of(&["a", "b", "ab", "A", "ü"]))).collect::<String>();
            if parts.is_empty() || self.below(3) == 0 { parts + "/" } else { parts }
        }

        fn row(&mut self) -> Value {
            let path = match self.below(5) {
                0 => json!({ "exact": self.path() }),
                1 | 2 => json!({ "prefix": self.path() }),
                3 => json!({ "start": self.path() }),
                _ => {
                    json!({ "pattern": { "pattern": self.of(PATTERNS), "ignoreCase": self.below(2) == 0 } })
                }
            };
            let value = match self.below(4) {
                0 => json!({ "exact": self.of(&["GET", "x"]) }),
                1 => json!({ "pattern": self.of(&["x", "E"]) }),
                2 => json!("present"),
                _ => json!("absent"),
            };
            let condition = match self.below(3) {
                0 => json!({ "on": "method", "name": "", "value": value }),
                1 => json!({ "on": "header", "name": "x-a", "value": value }),
                _ => json!({ "on": "query", "name": "q", "value": value }),
            };
            let conditions: Vec<Value> = if self.below(3) == 0 { vec![condition] } else { vec![] };
            json!({ "host": "a", "listeners": self.of::<[&str]>(&[&["one"], &["two"], &["one", "two"]]), "path": path,
                "conditions": conditions, "rank": self.below(4), "labels": {},
                "action": { "respond": { "status": 200, "headers": [], "body": "" } } })
        }
    }

    #[test]
    fn maps_find_what_reading_one_row_after_the_other_finds() {
        let seed = std::env::var("SEED").map_or(0x5eed, |seed| seed.parse().unwrap());
        let mut chance = Chance(seed);
        let patterns = PATTERNS.iter().map(|text| (text.to_string(), regex::Regex::new(text).unwrap())).collect();
        let (mut found, mut missed) = (0, 0);
        for round in 0..300 {
            let rows: Vec<(String, proxy::Route)> = (0..chance.below(12))
                .map(|key| (format!("{:x}", (key * 7 + round) % 16), serde_json::from_value(chance.row()).unwrap()))
                .collect();
            let routes: Vec<Arc<Route>> =
                rows.iter().map(|(key, row)| Arc::new(Route::new(key, row).unwrap())).collect();
            let host = Host::new(&routes);
            for _ in 0..40 {
                let path = chance.path();
                let path = normalize_row(&path).unwrap();
                assert_eq!(normalize(&path).unwrap(), path);
                let mut headers = HeaderMap::new();
                if chance.below(2) == 0 {
                    headers.insert("x-a", chance.of(&["x", "y"]).parse().unwrap());
                }
                let query = [None, Some("q=x"), Some("q=GET")][chance.below(3)];
                let method = [Method::GET, Method::POST][chance.below(2)].clone();
                let asked = Asked { method: &method, path: &path, query, headers: &headers };
                let listener = chance.of(&["one", "two", "three"]);
                let wanted = plainly(&rows, &patterns, listener, &asked);
                let got = host.find(listener, &asked).flatten();
                assert_eq!(got.map(|route| &route.key), wanted, "SEED={seed} round {round}: {path} {rows:#?}");
                *if wanted.is_some() { &mut found } else { &mut missed } += 1;
            }
        }
        assert!(found > 1000 && missed > 1000, "{found} found, {missed} missed: the seed says nothing");
    }
}
