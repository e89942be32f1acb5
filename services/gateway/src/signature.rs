//! Who may send.

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, header};
use kubernaut_core::{
    Error, ErrorKind, Result,
    model::{ExposeSecret, SecretString},
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::SourceConfig;

/// The header that carries `sha256=<hex>`.
pub const SIGNATURE_HEADER: &str = "x-kubernaut-signature";

const OPERATION: &str = "gateway.authorize";

/// The value of [`SIGNATURE_HEADER`] for a body, for senders.
#[must_use]
pub fn sign(secret: &SecretString, body: &[u8]) -> String {
    format!("sha256={}", hex::encode(mac(secret, body)))
}

fn mac(secret: &SecretString, body: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length, so the error has no case; an empty key never matches, see `authorize`.
    Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).map(|m| m.chain_update(body).finalize().into_bytes().into()).unwrap_or_default()
}

/// Checks token and signature, as far as the source asks for them. Comparisons take the same time whatever differs.
pub(crate) fn authorize(source: &SourceConfig, headers: &HeaderMap, body: &[u8]) -> Result<()> {
    if let Some(token) = &source.bearer_token {
        let sent = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(bearer).unwrap_or_default();
        // Digests hide the token's length too.
        let same = Sha256::digest(sent).ct_eq(&Sha256::digest(token.expose_secret()));
        if sent.is_empty() || !bool::from(same) {
            return Err(refused("the bearer token is missing or wrong; send authorization: bearer with the token of this source"));
        }
    }
    if let Some(secret) = &source.hmac_secret {
        let sent = headers.get(SIGNATURE_HEADER).and_then(|v| v.to_str().ok()).and_then(|v| v.trim().strip_prefix("sha256="));
        let sent = sent.and_then(|v| hex::decode(v).ok()).unwrap_or_default();
        if secret.expose_secret().is_empty() || !bool::from(mac(secret, body).as_slice().ct_eq(&sent)) {
            return Err(refused("the signature is missing or wrong; send x-kubernaut-signature: sha256=<hex of hmac-sha256 over the body>"));
        }
    }
    Ok(())
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn refused(message: &'static str) -> Error {
    Error::new(ErrorKind::Unauthorized, OPERATION, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(hmac: Option<&str>, token: Option<&str>) -> SourceConfig {
        let secret = |s: &str| SecretString::from(s.to_owned());
        SourceConfig { hmac_secret: hmac.map(secret), bearer_token: token.map(secret), ..SourceConfig::default() }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (http::HeaderName::from_static(k), v.parse().unwrap())).collect()
    }

    #[test]
    fn the_signature_covers_the_whole_body() {
        let source = source(Some("key"), None);
        // Known answer: HMAC-SHA256 with key "key".
        let body = b"The quick brown fox jumps over the lazy dog";
        let good = "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
        assert_eq!(sign(source.hmac_secret.as_ref().unwrap(), body), good);
        assert!(authorize(&source, &headers(&[(SIGNATURE_HEADER, good)]), body).is_ok());
        assert!(authorize(&source, &headers(&[(SIGNATURE_HEADER, good)]), b"The quick brown fox jumps over the lazy cat").is_err());
        for bad in ["", "sha256=", "sha256=zz", &good[7..], &good[..good.len() - 2]] {
            assert!(authorize(&source, &headers(&[(SIGNATURE_HEADER, bad)]), body).is_err(), "{bad}");
        }
        assert!(authorize(&source, &HeaderMap::new(), body).is_err());
    }

    #[test]
    fn with_both_settings_both_are_needed() {
        let source = source(Some("key"), Some("t"));
        let signature = sign(source.hmac_secret.as_ref().unwrap(), b"x");
        let all = [("authorization", "bearer t"), (SIGNATURE_HEADER, signature.as_str())];
        assert!(authorize(&source, &headers(&all), b"x").is_ok());
        assert!(authorize(&source, &headers(&all[..1]), b"x").is_err());
        assert!(authorize(&source, &headers(&all[1..]), b"x").is_err());
        assert!(authorize(&source, &headers(&[("authorization", "Bearer other"), all[1]]), b"x").is_err());
    }

    #[test]
    fn an_empty_secret_lets_nobody_in() {
        for source in [source(Some(""), None), source(None, Some(""))] {
            let signed = sign(&SecretString::from(String::new()), b"x");
            assert!(authorize(&source, &headers(&[("authorization", "Bearer "), (SIGNATURE_HEADER, &signed)]), b"x").is_err());
        }
    }
}
