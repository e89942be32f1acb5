//! Bearer tokens, and what each may do.

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Uri, header, request::Parts},
    middleware::Next,
    response::Response,
};
use kubernaut::{
    Error, ErrorKind,
    model::{ExposeSecret, SecretString},
};
use serde::{Deserialize, Serialize, Serializer};
use subtle::ConstantTimeEq;

use super::{AppState, problem::Problem};

/// What a token may do; each scope includes those before it, except that `alerts` stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Send alerts, nothing else.
    Alerts,
    /// Read everything.
    Read,
    /// Also approve, stop, cancel and act.
    Operate,
}

/// A configured token.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// Who holds it; the name on approvals and audit rows.
    pub name: String,
    /// The token.
    #[serde(serialize_with = "hidden")]
    pub token: SecretString,
    /// What it may do.
    pub scope: Scope,
    /// Groups that its holder is in, for approvals that ask for one. Default: none.
    #[serde(default)]
    pub groups: Vec<String>,
}

fn hidden<S: Serializer>(_: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("***")
}

/// All configured tokens; empty means no authentication, which is possible on loopback only.
#[derive(Debug, Default)]
pub struct Tokens(pub Vec<TokenConfig>);

/// Who calls, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Name.
    pub name: String,
    /// What they may do.
    pub scope: Scope,
    /// Groups they are in.
    pub groups: Vec<String>,
    /// Whether a token was checked; without authentication a caller may say who they are.
    pub authenticated: bool,
}

impl Caller {
    /// Succeeds if the caller may do what `scope` stands for.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn require(&self, scope: Scope) -> Result<(), Error> {
        if self.scope >= scope {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Forbidden, "http.auth", "this token may not do that; use one with a wider scope").with("name", &self.name))
    }
}

impl Tokens {
    /// The caller behind the request's headers.
    ///
    /// # Errors
    /// `Unauthorized` without a token or for an unknown one; `Forbidden` where no tokens are configured and the request is a web page's.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, Error> {
        if self.0.is_empty() {
            by_this_machine(headers)?;
            return Ok(Caller { name: "local".into(), scope: Scope::Operate, groups: Vec::new(), authenticated: false });
        }
        let given = bearer(headers).ok_or_else(|| Error::new(ErrorKind::Unauthorized, "http.auth", "send a token as Authorization: Bearer"))?;
        // Every token is compared, so that the time taken does not tell how far one matched.
        let found =
            self.0.iter().fold(None, |found, t| if bool::from(t.token.expose_secret().as_bytes().ct_eq(given.as_bytes())) { Some(t) } else { found });
        let token = found.ok_or_else(|| Error::new(ErrorKind::Unauthorized, "http.auth", "the token is not known"))?;
        Ok(Caller { name: token.name.clone(), scope: token.scope, groups: token.groups.clone(), authenticated: true })
    }
}

/// A page of another site that a browser on this machine shows can connect to it, too. It has an origin, or a name of its own for this machine.
fn by_this_machine(headers: &HeaderMap) -> Result<(), Error> {
    for name in [header::HOST, header::ORIGIN] {
        let Some(value) = headers.get(&name) else { continue };
        if !value.to_str().is_ok_and(is_loopback) {
            let text = "without http.tokens only this machine may call, by its loopback address or as localhost; configure a token";
            return Err(Error::new(ErrorKind::Forbidden, "http.auth", text).with("header", name));
        }
    }
    Ok(())
}

/// Whether `Host` or `Origin` names this machine.
fn is_loopback(address: &str) -> bool {
    let Some(host) = address.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)) else { return false };
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

/// The bearer token of a request.
#[must_use]
fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}

/// Middleware: `GET` needs the scope `read`, anything else `operate`.
///
/// # Errors
/// `Unauthorized`, `Forbidden`.
pub(super) async fn authenticate(State(state): State<AppState>, mut request: Request, next: Next) -> Result<Response, Problem> {
    let caller = state.tokens.caller(request.headers())?;
    caller.require(if request.method().is_safe() { Scope::Read } else { Scope::Operate })?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem(Error::internal("http.auth", "route without authentication layer")))
    }
}
