//! Basic authentication (RFC 7617).

use super::users::Word;
use crate::client::respond;
use crate::client::response::ResponseBody;
use crate::table::{Problem, State};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use wire::proxy::BasicAuth;

pub struct Basic {
    users: String,
    challenge: HeaderValue,
}

impl Basic {
    pub fn new(row: &BasicAuth) -> Result<Basic, Problem> {
        let realm = row.realm.replace('\\', "\\\\").replace('"', "\\\"");
        let challenge = HeaderValue::try_from(format!("Basic realm=\"{realm}\""));
        let challenge = challenge.map_err(|_| {
            Problem::new(format!("basic: the realm {:?} cannot be sent", row.realm), "write plain text")
        })?;
        Ok(Basic { users: row.users.clone(), challenge })
    }

    pub async fn admit(&self, state: &State, headers: &HeaderMap) -> Result<(), Response<ResponseBody>> {
        let Some(users) = state.users.get(&self.users) else {
            return Err(respond::failure(StatusCode::SERVICE_UNAVAILABLE));
        };
        let word = match said(headers) {
            Some(said) => users.ask(&said).await,
            None => Word::Bad,
        };
        match word {
            Word::Good => Ok(()),
            Word::Busy => Err(respond::failure(StatusCode::SERVICE_UNAVAILABLE)),
            Word::Bad => {
                let mut response = respond::failure(StatusCode::UNAUTHORIZED);
                response.headers_mut().insert(WWW_AUTHENTICATE, self.challenge.clone());
                Err(response)
            }
        }
    }
}

/// `NAME:PASSWORD`.
fn said(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("basic").then(|| BASE64.decode(token.trim()).ok())?
}

/// Who the client says he is, whether he was asked or not.
pub fn user(headers: &HeaderMap) -> Option<String> {
    let said = said(headers)?;
    let name = said.split(|octet| *octet == b':').next()?;
    String::from_utf8(name.to_vec()).ok()
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
