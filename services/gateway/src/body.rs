//! What is checked before and while the body arrives.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::{HeaderMap, header};
use kubernaut_core::{Error, ErrorKind, Result};

const OPERATION: &str = "gateway.read";

/// Reads a body and stops as soon as it is larger than `limit` bytes.
///
/// # Errors
/// `PayloadTooLarge`, with nothing more read; `InvalidInput` if the stream breaks off.
pub async fn read_limited<S, E>(stream: S, limit: usize) -> Result<Bytes>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut stream = std::pin::pin!(stream);
    let mut body = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|e| Error::invalid(OPERATION, "the body broke off; send it again").source(e))?;
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

pub(crate) fn too_large(limit: usize) -> Error {
    Error::new(ErrorKind::PayloadTooLarge, OPERATION, "the body is larger than the limit; send smaller batches or raise gateway.body_limit_bytes")
        .with("limit_bytes", limit)
}

/// Refuses content that is not said to be JSON. A request without a content type is judged by its body alone.
///
/// # Errors
/// `UnsupportedMediaType`.
pub fn check_content_type(headers: &HeaderMap) -> Result<()> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let text = value.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let shown: String = essence.chars().take(100).collect();
    Err(Error::new(ErrorKind::UnsupportedMediaType, OPERATION, "the content type must be application/json").with("content_type", shown))
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn reading_stops_at_the_limit() {
        let chunks = |n: usize| stream::iter((0..n).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"1234"))));
        assert_eq!(read_limited(chunks(2), 8).await.unwrap(), "12341234");
        let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(b"1234")));
        assert_eq!(read_limited(endless, 8).await.unwrap_err().kind(), ErrorKind::PayloadTooLarge);
    }

    #[test]
    fn only_json_is_accepted() {
        let check = |text: &'static str| check_content_type(&HeaderMap::from_iter([(header::CONTENT_TYPE, http::HeaderValue::from_static(text))]));
        assert!(check("application/json; charset=utf-8").is_ok());
        assert!(check("Application/Problem+JSON").is_ok());
        assert_eq!(check("text/plain").unwrap_err().kind(), ErrorKind::UnsupportedMediaType);
        assert_eq!(check("application/x-www-form-urlencoded").unwrap_err().kind(), ErrorKind::UnsupportedMediaType);
    }
}
