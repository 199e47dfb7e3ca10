//! What happens to a request on its way, and to its response: one file a filter, in the order of `Chain::request` and
//! `Chain::response`. What has no file yet is refused.

use crate::table::Problem;
use hyper::header::HeaderValue;
use wire::proxy::Filters;

/// The filters of a route.
pub struct Chain {
    pub upgrades: bool,
    pub access_log: bool,
    pub forwarded_prefix: Option<HeaderValue>,
}

impl Default for Chain {
    fn default() -> Chain {
        Chain { upgrades: true, access_log: true, forwarded_prefix: None }
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
            ("editing of request headers (requestHeaders)", row.request_headers.is_some()),
            ("editing of response headers (responseHeaders)", row.response_headers.is_some()),
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
        Ok(Chain {
            upgrades: row.upgrades.unwrap_or(true),
            access_log: row.access_log.unwrap_or(true),
            forwarded_prefix: row.forwarded_prefix.as_deref().map(prefix).transpose()?,
        })
    }

    /// For a cluster of a route, which has no filters of its own yet.
    pub fn only_default(&self) -> Result<(), Problem> {
        match self.upgrades && self.access_log && self.forwarded_prefix.is_none() {
            true => Ok(()),
            false => Err(Problem::unbuilt("a filter for one cluster of a route")),
        }
    }
}
