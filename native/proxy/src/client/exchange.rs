//! One request and its response.

use super::connection::Client;
use super::forward::{Given, forward};
use super::forwarded;
use super::hop;
use super::respond;
use super::response::ResponseBody;
use super::scene::Scene;
use crate::filter::Passed;
use crate::record::request::{Entry, Record};
use crate::table::State;
use crate::table::condition::Asked;
use crate::table::listener::{Http, Listener};
use crate::table::path::normalize;
use crate::table::route::Action;
use crate::tls::clients::{CERTIFICATE, ISSUER, Known, SUBJECT, VERIFY};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue, SERVER};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use std::borrow::Cow;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

type Answer = Result<Response<ResponseBody>, StatusCode>;

pub async fn answer(client: Rc<Client>, request: Request<Incoming>) -> Result<Response<ResponseBody>, Infallible> {
    let number = client.seen.get() + 1;
    client.seen.set(number);
    let mut record = Record::new(client.clone());
    let state = client.thread.state();
    let now = state.listener(client.place).filter(|listener| listener.http().is_some());
    let listener = now.unwrap_or(&client.listener);
    let http = listener.http().expect("what has clients speaks HTTP");
    let version = request.version();
    let compression = http.compression.as_ref();
    let accepted = compression.and_then(|rule| rule.accepted(request.method(), version, request.headers()));
    let refused = client.exchanges.refused(number).and_then(|status| StatusCode::from_u16(status).ok());
    let answered = match refused {
        Some(status) => Err(status),
        None => take(&client, &state, listener, http, request, &mut record).await,
    };
    // Whoever sends what makes no sense is not listened to any longer.
    let senseless = refused.is_some() || matches!(answered, Err(StatusCode::BAD_REQUEST));
    let mut response = answered.unwrap_or_else(respond::failure);
    if let Some(compression) = compression {
        compression.apply(accepted, &mut response);
    }
    if let (false, Some(server)) = (response.headers().contains_key(SERVER), &http.server) {
        response.headers_mut().insert(SERVER, server.clone());
    }
    let last = senseless || client.closing.get() || number >= u64::from(http.requests_max);
    if version == Version::HTTP_2 {
        if last {
            client.close.notify_one();
        }
    } else if last && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    record.status = response.status().as_u16();
    record.wait(true);
    response.body_mut().record = Some(record);
    Ok(response)
}

async fn take(
    client: &Rc<Client>,
    state: &State,
    listener: &Arc<Listener>,
    http: &Http,
    mut request: Request<Incoming>,
    record: &mut Record,
) -> Answer {
    let upgrade = match request.version() {
        Version::HTTP_11 => hop::upgrade(request.headers()).map(|wanted| (wanted, hyper::upgrade::on(&mut request))),
        _ => None,
    };
    let (Parts { method, uri, version, mut headers, .. }, body) = request.into_parts();
    record.method = method.clone();
    if headers.len() > http.header_fields_max {
        return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE); // HTTP/2: what the guard does for HTTP/1
    }
    if matches!(method, Method::CONNECT | Method::TRACE) {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let named = authority(&uri, &headers)?;
    let authority = named.to_str().map_err(|_| StatusCode::BAD_REQUEST)?;
    let host = host(authority).ok_or(StatusCode::BAD_REQUEST)?;
    let path = normalize(uri.path()).map_err(|_| StatusCode::BAD_REQUEST)?;
    if !http.underscores {
        forwarded::drop_underscores(&mut headers);
    }
    let origin = forwarded::origin(http, client, &mut headers);
    forwarded::set(http, client, &origin, &named, &mut headers);
    let known = known(client, state, listener, &host)?;
    if let Some(known) = known {
        [VERIFY, SUBJECT, ISSUER, CERTIFICATE].iter().for_each(|name| drop(headers.remove(name)));
        headers.extend(known.fields.iter().cloned());
    }
    let none = HeaderMap::new();
    let blank = Asked { method: &method, path: &path, query: uri.query(), headers: &none };
    let asked = Asked { headers: &headers, ..blank };
    let route = state.route(&listener.name, &host, &asked);
    if let Some(token) = path.strip_prefix(CHALLENGE)
        && route.is_none_or(|route| !route.is_challenge())
        && let Some(answer) = challenge(state, &host, token)
    {
        return Ok(answer);
    }
    let request_id = match headers.get(forwarded::X_REQUEST_ID) {
        Some(id) => id.clone(),
        None => client.thread.request_id(),
    };
    let quiet =
        route.is_some_and(|route| !route.filters.access_log) || http.quiet_paths.iter().any(|quiet| *quiet == path);
    if http.access_log.is_some() && !quiet {
        record.entry = Some(Box::new(Entry {
            listener: listener.clone(),
            uri: uri.clone(),
            version,
            authority: named.clone(),
            host: host.to_string(),
            address: origin.address,
            headers: headers.clone(),
            request_id: request_id.clone(),
        }));
    }
    let bare = Scene {
        client,
        origin: &origin,
        asked: blank,
        host: &host,
        authority,
        uri: &uri,
        request_id: &request_id,
        version,
        record: None,
    };
    if let Some(Err(refused)) = known.map(Known::admit) {
        record.labels = route.map(|route| route.labels.clone());
        return Ok(respond::uncertified(refused, known, &bare.with(&headers)));
    }
    let Some(route) = route else { return Err(StatusCode::NOT_FOUND) };
    record.labels = Some(route.labels.clone());
    let filters = &route.filters;
    if let Some(tracing) = &http.tracing
        && filters.tracing.unwrap_or(tracing.always)
    {
        record.span = tracing.begin(&bare, &route.labels.path, &mut headers);
    }
    record.keeps_answer = filters.keeps_answer || http.access_log.as_ref().is_some_and(|log| log.keeps_answer);
    let kept = filters.keeps.then(|| headers.clone());
    let mut passed = Passed::default();
    let mut own = None; // filters of the cluster that was chosen
    let answered: Answer = async {
        let scene = bare.with(&headers).of(record);
        if filters.acts
            && let Err(response) = filters.request(state, &scene, &mut passed).await
        {
            return Ok(response);
        }
        let rule = match &route.action {
            Action::Redirect(row) => return Ok(respond::redirect(row, route, &scene)),
            Action::Respond(row) => return Ok(respond::respond(row)),
            Action::Forward(rule) => rule,
        };
        let given = Given::new(route, rule, state, &scene, &named)?;
        own = given.filters;
        if let Some(own) = own
            && let Err(response) = own.request(state, &scene, &mut passed).await
        {
            return Ok(response);
        }
        record.slot = passed.slot.take().map(Rc::new);
        hop::strip_request(&mut headers);
        headers.insert(forwarded::X_REQUEST_ID, request_id.clone());
        let scene = bare.with(kept.as_ref().unwrap_or(&none)).of(record);
        for chain in [Some(filters), own].into_iter().flatten() {
            chain.edit(&scene, &mut headers);
        }
        headers.extend(passed.request.drain(..));
        let upgrade = upgrade.filter(|_| filters.upgrades && own.is_none_or(|own| own.upgrades));
        forward(client, http, given, method.clone(), headers, body, upgrade, record).await
    }
    .await;
    // One who sends what makes no sense gets no more than that.
    if !(filters.acts || own.is_some()) || matches!(answered, Err(StatusCode::BAD_REQUEST)) {
        return answered;
    }
    let mut response = answered.unwrap_or_else(respond::failure);
    record.status = response.status().as_u16();
    let scene = bare.with(kept.as_ref().unwrap_or(&none)).of(record);
    for chain in [own, Some(filters)].into_iter().flatten() {
        chain.response(state, &scene, &mut passed, &mut response).await;
    }
    Ok(response)
}

/// What is known of a client whose certificate the host asks for. A connection that was made for a name that asks for others, or
/// for none, does not do for it, nor one that does for any other name.
fn known<'a>(
    client: &'a Client,
    state: &State,
    listener: &Listener,
    host: &str,
) -> Result<Option<&'a Known>, StatusCode> {
    let Some(tls) = &client.tls else { return Ok(None) };
    let shown = state.sni(&listener.name, host);
    let wanted = shown.filter(|sni| sni.clients().is_some());
    match (wanted, &tls.known) {
        (None, None) if tls.http2 && !tls.name.is_empty() && tls.name != host => {
            // Taken for another host, too, as its certificate does for it (RFC 9113 9.1.1), or by mistake.
            let own = state.sni(&listener.name, &tls.name);
            let does = own.zip(shown).is_none_or(|(own, shown)| std::ptr::eq(own, shown) || own.covers(shown, host));
            if does { Ok(None) } else { Err(StatusCode::MISDIRECTED_REQUEST) }
        }
        (None, None) => Ok(None),
        (Some(sni), Some(known)) if sni.host == known.host => Ok(Some(known)),
        _ => Err(StatusCode::MISDIRECTED_REQUEST),
    }
}

/// Host and port as the client says them.
fn authority(uri: &Uri, headers: &HeaderMap) -> Result<HeaderValue, StatusCode> {
    let mut lines = headers.get_all(HOST).iter();
    let named = lines.next();
    if lines.next().is_some() {
        return Err(StatusCode::BAD_REQUEST);
    }
    match (uri.authority(), named) {
        // One that says two hosts is after something.
        (Some(target), Some(named)) if !named.as_bytes().eq_ignore_ascii_case(target.as_str().as_bytes()) => {
            Err(StatusCode::BAD_REQUEST)
        }
        (Some(target), _) => HeaderValue::from_str(target.as_str()).map_err(|_| StatusCode::BAD_REQUEST),
        (None, Some(named)) => Ok(named.clone()),
        (None, None) => Ok(HeaderValue::from_static("")),
    }
}

/// Lower case, without port and the dot at the end. None: it is none.
fn host(authority: &str) -> Option<Cow<'_, str>> {
    let host = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (port.is_empty() || is_port(port.strip_prefix(':')?)).then_some(())?;
            &authority[..address.len() + 2]
        }
        None => match authority.split_once(':') {
            Some((host, port)) => is_port(port).then_some(host)?,
            None => authority,
        },
    };
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'[' | b']' | b':');
    if !host.bytes().all(plain) || host.len() > 255 {
        return None;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    Some(match host.bytes().any(|octet| octet.is_ascii_uppercase()) {
        true => Cow::Owned(host.to_ascii_lowercase()),
        false => Cow::Borrowed(host),
    })
}

fn is_port(text: &str) -> bool {
    text.len() <= 5 && text.bytes().all(|octet| octet.is_ascii_digit())
}

/// RFC 8555 8.3.
fn challenge(state: &State, host: &str, token: &str) -> Option<Response<ResponseBody>> {
    let well_formed = token.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'));
    let thumbprint = state.thumbprint(host)?;
    (well_formed && (1..=256).contains(&token.len())).then(|| {
        let mut response = respond::text(StatusCode::OK, format!("{token}.{thumbprint}"));
        let kind = HeaderValue::from_static("application/octet-stream");
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
        response
    })
}

pub const CHALLENGE: &str = "/.well-known/acme-challenge/";
