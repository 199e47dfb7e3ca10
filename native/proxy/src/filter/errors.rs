//! Pages of errors, fetched from a cluster as ingress-nginx's custom-http-errors has it.

use crate::client::forwarded::X_REQUEST_ID;
use crate::client::hop;
use crate::client::inner::{Inner, Question};
use crate::client::response::ResponseBody;
use crate::client::scene::Scene;
use crate::table::route::Timeouts;
use crate::table::{Problem, State};
use hyper::Response;
use hyper::header::{ACCEPT, HeaderName, HeaderValue, RANGE};
use hyper::http::uri::PathAndQuery;
use std::time::Duration;
use wire::proxy::ErrorPages;

pub struct Errors {
    statuses: Vec<u16>,
    cluster: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Errors {
    pub fn new(row: &ErrorPages) -> Result<Errors, Problem> {
        let header = |(name, value): &(String, String)| {
            let wrong = || Problem::new(format!("errors.headers: {name:?}"), "write a header field");
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            Ok((name, HeaderValue::from_str(value).map_err(|_| wrong())?))
        };
        Ok(Errors {
            statuses: row.statuses.clone(),
            cluster: row.cluster.clone(),
            headers: row.headers.iter().map(header).collect::<Result<_, Problem>>()?,
        })
    }

    /// Where there is no page, the response stays as it was.
    pub async fn replace(&self, state: &State, scene: &Scene<'_>, response: &mut Response<ResponseBody>) {
        if !self.statuses.contains(&response.status().as_u16()) {
            return;
        }
        let Some(cluster) = state.clusters.get(&self.cluster) else { return };
        let Some(question) = self.question(scene, response.status().as_u16()) else { return };
        let inner = Inner { thread: &scene.client.thread, cluster, timeouts: TIMEOUTS };
        if let Ok(page) = inner.ask(question).await {
            *response = page;
        }
    }

    fn question(&self, scene: &Scene<'_>, status: u16) -> Option<Question> {
        let mut headers = scene.asked.headers.clone();
        hop::strip_request(&mut headers);
        headers.remove(RANGE); // of the page that was asked for, not of this one
        let format = headers.get(ACCEPT).cloned();
        let target = scene.uri.path_and_query().map_or("/", |target| target.as_str());
        headers.insert("x-code", HeaderValue::from(status));
        headers.insert("x-original-uri", HeaderValue::from_str(target).ok()?);
        headers.insert(X_REQUEST_ID, scene.request_id.clone());
        match format {
            Some(format) => drop(headers.insert("x-format", format)),
            None => drop(headers.remove("x-format")),
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        let query = scene.asked.query.map_or(String::new(), |query| format!("?{query}"));
        Some(Question {
            // A named location keeps it. The body has gone to the backend that answered.
            method: scene.asked.method.clone(),
            target: PathAndQuery::try_from(format!("/{query}")).ok()?,
            host: HeaderValue::from_str(scene.host).ok()?,
            headers,
            body: None,
        })
    }
}

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    read: Duration::from_secs(60),
    send: Duration::from_secs(60),
    request: None,
};
