//! What happens to a request on its way, and to its response: one file a filter, in the order of `Chain::request` and
//! `Chain::response`. What has no file yet is refused.

mod answers;
pub mod basic;
pub mod compression;
mod cookies;
mod cors;
mod errors;
mod external;
mod headers;
mod limits;
mod locations;
mod password;
mod sources;
pub mod users;

use crate::client::forwarded::X_FORWARDED_PREFIX;
use crate::client::respond;
use crate::client::response::ResponseBody;
use crate::client::scene::Scene;
use crate::table::{Problem, State};
use basic::Basic;
use cookies::Cookies;
use cors::Cors;
use errors::Errors;
use external::External;
use headers::Edit;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use limits::Limits;
pub use limits::Slot;
use locations::Locations;
use sources::Sources;
use wire::proxy::Filters;

/// The filters of a route, or of one cluster of it.
pub struct Chain {
    pub upgrades: bool,
    pub access_log: bool,
    /// Absent: as the listener has it.
    pub tracing: Option<bool>,
    /// There is something for `request` and `response` to do.
    pub acts: bool,
    /// The header fields of the request are read once more after it was sent on: they are copied.
    pub keeps: bool,
    /// And so are those of the backend's response.
    pub keeps_answer: bool,
    forwarded_prefix: Option<HeaderValue>,
    sources: Option<Box<Sources>>,
    limits: Option<Box<Limits>>,
    basic: Option<Box<Basic>>,
    external: Option<Box<External>>,
    satisfy_any: bool,
    cors: Option<Box<Cors>>,
    cookies: Option<Box<Cookies>>,
    locations: Option<Box<Locations>>,
    request_headers: Option<Box<Edit>>,
    response_headers: Option<Box<Edit>>,
    errors: Option<Box<Errors>>,
}

/// What the filters of a request leave for what comes after them.
#[derive(Default)]
pub struct Passed {
    /// Set on the request to the backend, past all edits.
    pub request: Vec<(HeaderName, HeaderValue)>,
    /// Added to the response, whoever makes it.
    pub response: Vec<(HeaderName, HeaderValue)>,
    /// The client's place among those he may have at once.
    pub slot: Option<Slot>,
    /// Of who was asked for leave, for the client.
    cookies: Vec<HeaderValue>,
    /// That the response may be read by.
    origin: Option<HeaderValue>,
}

impl Default for Chain {
    fn default() -> Chain {
        Chain {
            upgrades: true,
            access_log: true,
            tracing: None,
            acts: false,
            keeps: false,
            keeps_answer: false,
            forwarded_prefix: None,
            sources: None,
            limits: None,
            basic: None,
            external: None,
            satisfy_any: false,
            cors: None,
            cookies: None,
            locations: None,
            request_headers: None,
            response_headers: None,
            errors: None,
        }
    }
}

impl Chain {
    pub fn new(row: Option<&Filters>) -> Result<Chain, Problem> {
        let Some(row) = row else { return Ok(Chain::default()) };
        let prefix = |text: &str| {
            let remedy = "use visible ASCII characters";
            HeaderValue::from_str(text).map_err(|_| Problem::new(format!("forwardedPrefix {text:?}"), remedy))
        };
        let mut chain = Chain {
            upgrades: row.upgrades.unwrap_or(true),
            access_log: row.access_log.unwrap_or(true),
            tracing: row.tracing,
            forwarded_prefix: row.forwarded_prefix.as_deref().map(prefix).transpose()?,
            sources: boxed(&row.sources, Sources::new)?,
            limits: boxed(&row.limits, Limits::new)?,
            basic: boxed(&row.basic, Basic::new)?,
            external: boxed(&row.external, External::new)?,
            satisfy_any: row.satisfy_any.unwrap_or(false),
            cors: boxed(&row.cors, Cors::new)?,
            cookies: boxed(&row.cookies, Cookies::new)?,
            locations: boxed(&row.locations, Locations::new)?,
            request_headers: boxed(&row.request_headers, Edit::new)?,
            response_headers: boxed(&row.response_headers, Edit::new)?,
            errors: boxed(&row.errors, Errors::new)?,
            ..Chain::default()
        };
        (chain.acts, chain.keeps) = (chain.does_act(), chain.does_keep());
        chain.keeps_answer = chain.response_headers.as_ref().is_some_and(|edit| edit.reads_answer());
        Ok(chain)
    }

    fn does_act(&self) -> bool {
        self.sources.is_some()
            || self.limits.is_some()
            || self.basic.is_some()
            || self.external.is_some()
            || self.errors.is_some()
            || self.cors.is_some()
            || self.locations.is_some()
            || self.cookies.is_some()
            || self.response_headers.is_some()
    }

    fn does_keep(&self) -> bool {
        self.errors.is_some()
            || self.locations.as_ref().is_some_and(|locations| locations.varies())
            || self.cookies.as_ref().is_some_and(|cookies| cookies.varies())
            || self.request_headers.as_ref().is_some_and(|edit| edit.varies())
            || self.response_headers.as_ref().is_some_and(|edit| edit.varies())
    }

    /// Err: the response; it goes no further. Called when it `acts`.
    pub async fn request(
        &self,
        state: &State,
        scene: &Scene<'_>,
        passed: &mut Passed,
    ) -> Result<(), Response<ResponseBody>> {
        let client = scene.origin.address;
        let here = match &self.sources {
            Some(sources) if !sources.admits(client) => Err(respond::failure(StatusCode::FORBIDDEN)),
            _ => Ok(()),
        };
        if let (Err(refused), false) = (&here, self.satisfy_any) {
            return Err(respond::failure(refused.status()));
        }
        if let Some(limits) = &self.limits {
            passed.slot = limits.take(client).map_err(|()| respond::failure(limits.status))?;
        }
        if let Some(cors) = &self.cors {
            passed.origin = cors.origin(scene.asked.headers);
            if passed.origin.is_some()
                && let Some(response) = cors.preflight(scene)
            {
                return Err(response);
            }
        }
        if self.basic.is_some() || self.external.is_some() {
            return self.admit(state, scene, passed, here).await;
        }
        here
    }

    /// Who it is. `here`: what the filter by source says.
    async fn admit(
        &self,
        state: &State,
        scene: &Scene<'_>,
        passed: &mut Passed,
        here: Result<(), Response<ResponseBody>>,
    ) -> Result<(), Response<ResponseBody>> {
        if self.satisfy_any && self.sources.is_some() && here.is_ok() {
            return Ok(());
        }
        let known = match &self.basic {
            Some(basic) => Some(basic.admit(state, scene.asked.headers).await),
            None => None,
        };
        let Some(external) = &self.external else { return known.unwrap_or(here) };
        match known {
            Some(Ok(())) if self.satisfy_any => return Ok(()),
            Some(Err(refused)) if !self.satisfy_any => return Err(refused),
            _ => {}
        }
        match external.admit(state, scene, &mut passed.cookies).await {
            Ok(granted) => {
                passed.request.extend(granted);
                Ok(())
            }
            // Of several, 401 counts before 403, as with nginx.
            Err(refused) => Err(match known {
                Some(Err(other)) if refused.status() == StatusCode::FORBIDDEN => other,
                _ => refused,
            }),
        }
    }

    /// Of the request that the backend gets.
    pub fn edit(&self, scene: &Scene<'_>, headers: &mut HeaderMap) {
        if self.basic.is_some() {
            headers.remove(AUTHORIZATION); // as ingress-nginx does: the password is nobody's affair any more
        }
        if let Some(prefix) = &self.forwarded_prefix {
            headers.insert(X_FORWARDED_PREFIX, prefix.clone());
        }
        if let Some(edit) = &self.request_headers {
            edit.apply(scene, headers);
        }
        if let Some(external) = &self.external {
            external.edit(headers);
        }
    }

    /// Of a backend, or made here. The scene has header fields only if the chain `keeps` them.
    pub async fn response(
        &self,
        state: &State,
        scene: &Scene<'_>,
        passed: &mut Passed,
        response: &mut Response<ResponseBody>,
    ) {
        if let Some(errors) = &self.errors {
            errors.replace(state, scene, response).await;
        }
        if let Some(external) = &self.external {
            external.respond(&mut passed.cookies, response.status(), response.headers_mut());
        }
        if let Some(limits) = &self.limits {
            limits.slow(scene.origin.address, response.body_mut());
        }
        let headers = response.headers_mut();
        if let Some(locations) = &self.locations {
            locations.apply(scene, headers);
        }
        if let Some(cookies) = &self.cookies {
            cookies.apply(scene, headers);
        }
        if let Some(cors) = &self.cors {
            cors.apply(passed.origin.as_ref(), headers);
        }
        if let Some(edit) = &self.response_headers {
            edit.apply(scene, headers);
        }
        for (name, value) in passed.response.drain(..) {
            headers.append(name, value);
        }
    }
}

/// A part of a row, read.
fn boxed<Row, Filter>(
    row: &Option<Row>,
    read: impl Fn(&Row) -> Result<Filter, Problem>,
) -> Result<Option<Box<Filter>>, Problem> {
    row.as_ref().map(|row| read(row).map(Box::new)).transpose()
}
