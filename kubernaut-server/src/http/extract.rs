//! Bodies and path parts, with errors as problem documents.

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::JsonRejection},
    http::request::Parts,
};
use kubernaut::{Error, ErrorKind};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// A JSON body.
#[derive(Debug)]
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem(json_error(&rejection))),
        }
    }
}

fn json_error(rejection: &JsonRejection) -> Error {
    let kind = match rejection.status().as_u16() {
        413 => ErrorKind::PayloadTooLarge,
        415 => ErrorKind::UnsupportedMediaType,
        _ => ErrorKind::InvalidInput,
    };
    Error::new(kind, "http.body", rejection.body_text())
}

/// A path parameter.
#[derive(Debug)]
pub(super) struct Id<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(id)).map_err(|e| Problem(Error::invalid("http.path", e.body_text()).with("path", parts.uri.path())))
    }
}

/// Query parameters; unknown ones are refused.
#[derive(Debug)]
pub(super) struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(params)| Self(params)).map_err(|e| Problem(Error::invalid("http.query", e.body_text())))
    }
}
