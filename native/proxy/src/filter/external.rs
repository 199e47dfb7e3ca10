//! Another server is asked first, as nginx's auth_request and ingress-nginx around it have it.

use super::answers::{self, Answer};
use crate::client::forwarded::{X_FORWARDED_PROTO, X_REQUEST_ID};
use crate::client::hop;
use crate::client::inner::{Inner, Question, discard};
use crate::client::respond;
use crate::client::response::ResponseBody;
use crate::client::scene::Scene;
use crate::table::route::Timeouts;
use crate::table::{Problem, State};
use crate::variable::Template;
use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE, WWW_AUTHENTICATE,
};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Response, StatusCode};
use std::time::{Duration, Instant};
use wire::proxy::{AuthCacheStatus, ExternalAuth};

pub struct External {
    cluster: String,
    /// Without port, as ingress-nginx sends it.
    host: HeaderValue,
    target: Template,
    method: Method,
    /// The method was chosen, with which ingress-nginx says more.
    chosen: bool,
    /// Of the answer, for the backend.
    response_headers: Vec<HeaderName>,
    request_headers: Vec<(HeaderName, Template)>,
    sign_in: Option<Template>,
    cache: Option<(Template, Vec<AuthCacheStatus>)>,
    always_set_cookie: bool,
    timeouts: Timeouts,
}

impl External {
    pub fn new(row: &ExternalAuth) -> Result<External, Problem> {
        let wrong = |what: String| Problem::new(what, "correct the annotation that it came from");
        let name = |name: &str| {
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong(format!("{name:?} is no name of a header field")))
        };
        let (_, rest) = row.url.split_once("://").ok_or_else(|| wrong(format!("external.url {:?}", row.url)))?;
        let end = rest.find(['/', '?', '$']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let host = match authority.rfind(':').filter(|at| !authority[*at..].contains(']')) {
            Some(at) => &authority[..at],
            None => authority,
        };
        let target = if target.starts_with('?') || target.is_empty() { format!("/{target}") } else { target.into() };
        let timeout = Duration::from_millis(row.timeout_ms.into());
        Ok(External {
            cluster: row.cluster.clone(),
            host: HeaderValue::from_str(host).map_err(|_| wrong(format!("external.url {:?}", row.url)))?,
            target: Template::new(&target)?,
            method: match &row.method {
                Some(method) => {
                    Method::from_bytes(method.as_bytes()).map_err(|_| wrong(format!("method {method:?}")))?
                }
                None => Method::GET,
            },
            chosen: row.method.is_some(),
            // Not what says where the request ends.
            response_headers: row
                .response_headers
                .iter()
                .filter(|text| !text.eq_ignore_ascii_case("content-length"))
                .map(|text| name(text))
                .collect::<Result<_, _>>()?,
            request_headers: row
                .request_headers
                .iter()
                .map(|(text, value)| Ok((name(text)?, Template::new(value)?)))
                .collect::<Result<_, Problem>>()?,
            sign_in: row.sign_in.as_deref().map(|url| sign_in(url, &row.redirect_parameter)).transpose()?,
            cache: match &row.cache {
                // What another route is told is its own affair.
                Some(cache) => Some((Template::new(&format!("{} {}", row.url, cache.key))?, cache.statuses.clone())),
                None => None,
            },
            always_set_cookie: row.always_set_cookie,
            timeouts: Timeouts {
                connect: timeout.min(CONNECT_MAX),
                read: timeout,
                send: timeout,
                request: Some(timeout),
            },
        })
    }

    /// What the backend is told of who is let in. Err: the response. `cookies`: of the answer, for the client.
    pub async fn admit(
        &self,
        state: &State,
        scene: &Scene<'_>,
        cookies: &mut Vec<HeaderValue>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Response<ResponseBody>> {
        let key = self.cache.as_ref().map(|(key, _)| format!("{} {} {}", scene.host, self.cluster, key.render(scene)));
        let held = key.as_ref().and_then(|key| answers::find(key));
        let answer = match held {
            Some(answer) => answer,
            None => self.ask(state, scene, key).await.map_err(respond::failure)?,
        };
        cookies.extend(answer.headers.get_all(SET_COOKIE).iter().cloned());
        match answer.status {
            200..=299 => Ok(self.granted(&answer.headers)),
            401 => Err(self.unauthorized(scene, &answer.headers)),
            403 => Err(respond::failure(StatusCode::FORBIDDEN)),
            _ => Err(respond::failure(StatusCode::INTERNAL_SERVER_ERROR)),
        }
    }

    async fn ask(&self, state: &State, scene: &Scene<'_>, key: Option<String>) -> Result<Answer, StatusCode> {
        let failed = StatusCode::INTERNAL_SERVER_ERROR;
        let cluster = state.clusters.get(&self.cluster).ok_or(failed)?;
        let question = self.question(scene).ok_or(failed)?;
        let inner = Inner { thread: &scene.client.thread, cluster, timeouts: self.timeouts };
        let response = inner.ask(question).await.map_err(|_| failed)?;
        let answer = Answer { status: response.status().as_u16(), headers: response.headers().clone() };
        scene.client.thread.spawn(discard(response, self.timeouts.read));
        if let (Some(key), Some(valid)) = (key, self.valid(&answer)) {
            answers::hold(key, &answer, Instant::now() + valid);
        }
        Ok(answer)
    }

    /// Never with the request's body.
    fn question(&self, scene: &Scene<'_>) -> Option<Question> {
        let mut headers = scene.asked.headers.clone();
        hop::strip_request(&mut headers);
        for name in [CONTENT_LENGTH, X_FORWARDED_PROTO] {
            headers.remove(name);
        }
        headers.insert(X_REQUEST_ID, scene.request_id.clone());
        if self.chosen {
            let target = scene.uri.path_and_query().map_or("/", |target| target.as_str());
            headers.insert("x-original-uri", HeaderValue::from_str(target).ok()?);
            headers.insert("x-scheme", HeaderValue::from_static(scene.scheme()));
        }
        for (name, template) in &self.request_headers {
            let value = template.render(scene);
            // nginx sends no field without a value.
            match value.is_empty() {
                true => drop(headers.remove(name)),
                false => drop(headers.insert(name, HeaderValue::try_from(value).ok()?)),
            }
        }
        Some(Question {
            method: self.method.clone(),
            target: PathAndQuery::try_from(self.target.render(scene)).ok()?,
            host: self.host.clone(),
            headers,
            body: None,
        })
    }

    /// nginx's proxy_cache_valid, and what of RFC 9111 goes before it.
    fn valid(&self, answer: &Answer) -> Option<Duration> {
        let (_, rules) = self.cache.as_ref()?;
        if !matches!(self.method, Method::GET | Method::HEAD) || answer.headers.contains_key(SET_COOKIE) {
            return None;
        }
        let lines = answer.headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
        for word in lines.flat_map(|line| line.split(',')).map(|word| word.trim().to_ascii_lowercase()) {
            if matches!(word.as_str(), "no-cache" | "no-store" | "private") {
                return None;
            }
            if let Some(seconds) = word.strip_prefix("max-age=") {
                let seconds = seconds.parse().ok().filter(|seconds| *seconds > 0)?;
                return Some(Duration::from_secs(seconds).min(VALID_MAX));
            }
        }
        let fits = |rule: &&AuthCacheStatus| rule.statuses.is_empty() || rule.statuses.contains(&answer.status);
        rules.iter().find(fits).map(|rule| Duration::from_millis(rule.ms.into()))
    }

    fn granted(&self, answer: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
        let of = |name: &HeaderName| answer.get_all(name).iter().map(|value| (name.clone(), value.clone())).collect();
        self.response_headers.iter().flat_map(|name| -> Vec<_> { of(name) }).collect()
    }

    fn unauthorized(&self, scene: &Scene<'_>, answer: &HeaderMap) -> Response<ResponseBody> {
        let Some(sign_in) = &self.sign_in else {
            let mut response = respond::failure(StatusCode::UNAUTHORIZED);
            for value in answer.get_all(WWW_AUTHENTICATE) {
                response.headers_mut().append(WWW_AUTHENTICATE, value.clone());
            }
            return response;
        };
        let Ok(location) = HeaderValue::try_from(sign_in.render(scene)) else {
            return respond::failure(StatusCode::BAD_REQUEST);
        };
        let mut response = respond::failure(StatusCode::FOUND);
        response.headers_mut().insert(LOCATION, location);
        response
    }

    /// Before what was granted is set: no client says for himself what the other server says of him.
    pub fn edit(&self, headers: &mut HeaderMap) {
        for name in &self.response_headers {
            headers.remove(name);
        }
    }

    /// As nginx's add_header: with a good status, unless always.
    pub fn respond(&self, cookies: &mut Vec<HeaderValue>, status: StatusCode, headers: &mut HeaderMap) {
        if self.always_set_cookie || ADDED.contains(&status.as_u16()) {
            headers.extend(cookies.drain(..).map(|cookie| (SET_COOKIE, cookie)));
        }
    }
}

/// ingress-nginx's buildAuthSignURL: back to where the client was, unless the URL says where to.
fn sign_in(url: &str, parameter: &str) -> Result<Template, Problem> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let says = |pair: &str| pair.split_once('=').is_some_and(|(name, value)| name == parameter && !value.is_empty());
    let back = format!("{parameter}=$pass_access_scheme://$http_host$escaped_request_uri");
    match (query.is_empty(), query.split('&').any(says)) {
        (true, _) => Template::new(&format!("{}?{back}", url.trim_end_matches('?'))),
        (false, true) => Template::new(url),
        (false, false) => Template::new(&format!("{url}&{back}")),
    }
}

const CONNECT_MAX: Duration = Duration::from_secs(5);
const VALID_MAX: Duration = Duration::from_secs(86_400);
/// Statuses with which nginx's add_header adds.
const ADDED: [u16; 10] = [200, 201, 204, 206, 301, 302, 303, 304, 307, 308];
