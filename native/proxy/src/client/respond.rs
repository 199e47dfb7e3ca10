//! Responses that the proxy makes itself.

use super::response::ResponseBody;
use super::scene::Scene;
use crate::table::condition::Asked;
use crate::table::route::{Redirect, Respond, Route};
use crate::tls::clients::{Known, Refused};
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use std::fmt::Write;

/// Says no more than the status.
pub fn failure(status: StatusCode) -> Response<ResponseBody> {
    let reason = status.canonical_reason().unwrap_or("error");
    text(status, format!("{} {reason}\n", status.as_u16()))
}

pub fn text(status: StatusCode, text: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::whole(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

pub fn respond(row: &Respond) -> Response<ResponseBody> {
    let mut response = match row.body.as_str() {
        "" => Response::new(ResponseBody::whole("")),
        body => text(row.status, body.to_string()),
    };
    *response.status_mut() = row.status;
    for (name, value) in &row.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

/// As nginx answers who has no certificate, or none that is good: the error page where there is one, else its own words.
pub fn uncertified(refused: Refused, known: Option<&Known>, scene: &Scene<'_>) -> Response<ResponseBody> {
    let page = known.and_then(|known| known.clients.error_page.as_ref());
    let (status, words) = match refused {
        Refused::Unknowable => return failure(StatusCode::SERVICE_UNAVAILABLE),
        Refused::Subject => return text(StatusCode::FORBIDDEN, "client certificate unauthorized\n".to_string()),
        Refused::Wrong => (StatusCode::BAD_REQUEST, "400 The SSL certificate error\n"),
        Refused::Missing => (StatusCode::BAD_REQUEST, "400 No required SSL certificate was sent\n"),
    };
    let location = page.and_then(|page| HeaderValue::try_from(page.render(scene)).ok());
    let Some(location) = location else { return text(status, words.to_string()) };
    let mut response = failure(StatusCode::FOUND);
    response.headers_mut().insert(LOCATION, location);
    response
}

pub fn redirect(row: &Redirect, route: &Route, scene: &Scene<'_>) -> Response<ResponseBody> {
    let location = match &row.location {
        Some(template) => template.render(scene),
        None => location(row, route, scene),
    };
    // What a client said is in it: where that cannot be sent, neither can the redirect.
    let Ok(location) = HeaderValue::try_from(location) else { return failure(StatusCode::BAD_REQUEST) };
    let mut response = failure(row.status);
    response.headers_mut().insert(LOCATION, location);
    response
}

fn location(row: &Redirect, route: &Route, scene: &Scene<'_>) -> String {
    let scheme = row.scheme.as_deref().unwrap_or_else(|| scene.scheme());
    let host = row.host.as_deref().unwrap_or(scene.host);
    let own = row.scheme.is_none().then(|| scene.client.local.port());
    let port = row.port.or(own).filter(|port| *port != if scheme == "https" { 443 } else { 80 });
    let Asked { path, query, .. } = scene.asked;
    let (path, added) = match &row.path {
        Some(by) => route.replace(by, path),
        None => (path.into(), None),
    };
    let mut location = format!("{scheme}://{host}");
    if let Some(port) = port {
        let _ = write!(location, ":{port}");
    }
    location.push_str(&path);
    let queries = [added.as_deref(), query];
    for (number, query) in queries.into_iter().flatten().filter(|query| !query.is_empty()).enumerate() {
        location.push(if number == 0 { '?' } else { '&' });
        location.push_str(query);
    }
    location
}
