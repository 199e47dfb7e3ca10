//! What happens to a request on its way, and to its response: one file a filter, in the order of `Chain::request` and
//! `Chain::response`. What has no file yet is refused.

mod headers;

use crate::client::forwarded::X_FORWARDED_PREFIX;
use crate::client::response::ResponseBody;
use crate::client::scene::Scene;
use crate::table::{Problem, State};
use headers::Edit;
use hyper::Response;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use wire::proxy::Filters;

/// The filters of a route, or of one cluster of it.
pub struct Chain {
    pub upgrades: bool,
    pub access_log: bool,
    /// There is something for `request` and `response` to do.
    pub acts: bool,
    /// The header fields of the request are read once more after it was sent on: they are copied.
    pub keeps: bool,
    forwarded_prefix: Option<HeaderValue>,
    request_headers: Option<Box<Edit>>,
    response_headers: Option<Box<Edit>>,
}

/// What the filters of a request leave for what comes after them.
#[derive(Default)]
pub struct Passed {
    /// Set on the request to the backend, past all edits.
    pub request: Vec<(HeaderName, HeaderValue)>,
    /// Added to the response, whoever makes it.
    pub response: Vec<(HeaderName, HeaderValue)>,
}

impl Default for Chain {
    fn default() -> Chain {
        Chain {
            upgrades: true,
            access_log: true,
            acts: false,
            keeps: false,
            forwarded_prefix: None,
            request_headers: None,
            response_headers: None,
        }
    }
}

impl Chain {
    pub fn new(row: Option<&Filters>) -> Result<Chain, Problem> {
        let Some(row) = row else { return Ok(Chain::default()) };
        for (what, asked) in [
            ("a filter by source (sources)", row.sources.is_some()),
            ("limits (limits)", row.limits.is_some()),
            ("basic authentication (basic)", row.basic.is_some()),
            ("external authentication (external)", row.external.is_some()),
            ("satisfyAny", row.satisfy_any.is_some()),
            ("CORS (cors)", row.cors.is_some()),
            ("editing of cookies (cookies)", row.cookies.is_some()),
            ("editing of Location (locations)", row.locations.is_some()),
            ("error pages (errors)", row.errors.is_some()),
            ("tracing (tracing)", row.tracing == Some(true)),
        ] {
            if asked {
                return Err(Problem::unbuilt(what));
            }
        }
        let prefix = |text: &str| {
            let remedy = "use visible ASCII characters";
            HeaderValue::from_str(text).map_err(|_| Problem::new(format!("forwardedPrefix {text:?}"), remedy))
        };
        let edit = |row: &Option<_>| row.as_ref().map(|row| Edit::new(row).map(Box::new)).transpose();
        let mut chain = Chain {
            upgrades: row.upgrades.unwrap_or(true),
            access_log: row.access_log.unwrap_or(true),
            forwarded_prefix: row.forwarded_prefix.as_deref().map(prefix).transpose()?,
            request_headers: edit(&row.request_headers)?,
            response_headers: edit(&row.response_headers)?,
            ..Chain::default()
        };
        chain.acts = chain.response_headers.is_some();
        chain.keeps = [&chain.request_headers, &chain.response_headers].into_iter().flatten().any(|edit| edit.varies());
        Ok(chain)
    }

    /// Err: the response; it goes no further. Called when it `acts`.
    pub async fn request(
        &self,
        _state: &State,
        _scene: &Scene<'_>,
        _passed: &mut Passed,
    ) -> Result<(), Response<ResponseBody>> {
        Ok(())
    }

    /// Of the request that the backend gets.
    pub fn edit(&self, scene: &Scene<'_>, headers: &mut HeaderMap) {
        if let Some(prefix) = &self.forwarded_prefix {
            headers.insert(X_FORWARDED_PREFIX, prefix.clone());
        }
        if let Some(edit) = &self.request_headers {
            edit.apply(scene, headers);
        }
    }

    /// Of a backend, or made here. The scene has header fields only if the chain `keeps` them.
    pub async fn response(
        &self,
        _state: &State,
        scene: &Scene<'_>,
        passed: &mut Passed,
        response: &mut Response<ResponseBody>,
    ) {
        if let Some(edit) = &self.response_headers {
            edit.apply(scene, response.headers_mut());
        }
        for (name, value) in passed.response.drain(..) {
            response.headers_mut().append(name, value);
        }
    }
}
