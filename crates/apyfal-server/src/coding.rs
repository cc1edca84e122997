//! What a body is. Data is taken as it is sent, so a request that says its body is packed, wrapped or
//! a part is refused: what was meant is not what would be worked on.

use apyfal_core::{Error, ErrorKind, shorten};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};

/// Why a request is refused, and with which status.
type Refused = (StatusCode, Error);

/// The header of a part of a form that tells how it is wrapped.
const WRAPPED: HeaderName = HeaderName::from_static("content-transfer-encoding");

/// Refuses the body of a request that is coded, or a part of something.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Refused> {
    if headers.contains_key(header::CONTENT_RANGE) {
        let error = Error::new(ErrorKind::Usage, "its body is a part of the data")
            .operation("read the request")
            .context("header", header::CONTENT_RANGE)
            .hint("send all of it");
        return Err((StatusCode::BAD_REQUEST, error));
    }
    let unknown = StatusCode::NOT_IMPLEMENTED;
    only(headers, &header::TRANSFER_ENCODING, &["chunked"]).map_err(|error| (unknown, error))?;
    only(headers, &header::CONTENT_ENCODING, &["identity"])
        .map_err(|error| (StatusCode::UNSUPPORTED_MEDIA_TYPE, error))
}

/// Refuses a part of a form that is coded.
pub(crate) fn check_part(headers: &HeaderMap) -> Result<(), Error> {
    only(headers, &WRAPPED, &["binary", "8bit", "7bit"])?;
    only(headers, &header::CONTENT_ENCODING, &["identity"])
}

/// Refuses a form where the body is the data.
pub(crate) fn check_no_form(headers: &HeaderMap) -> Result<(), Refused> {
    if !is_form(headers) {
        return Ok(());
    }
    let error = Error::new(ErrorKind::Usage, "its body is a form, and the data would be all of it")
        .operation("read the request")
        .hint("send the file alone: curl -T FILE, or curl --data-binary @FILE")
        .hint("a form with the parts 'request' and 'data' is for a session: POST /v2/sessions/{id}/jobs");
    Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, error))
}

/// Whether a body is a form of several parts.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("multipart/form-data")
}

fn only(headers: &HeaderMap, name: &HeaderName, plain: &[&str]) -> Result<(), Error> {
    for value in headers.get_all(name) {
        let value = String::from_utf8_lossy(value.as_bytes());
        let mut codings = value.split(',').map(str::trim).filter(|coding| !coding.is_empty());
        let is_plain = |coding: &str| plain.iter().any(|plain| coding.eq_ignore_ascii_case(plain));
        if let Some(coding) = codings.find(|coding| !is_plain(coding)) {
            let error =
                Error::new(ErrorKind::Usage, format!("it is coded as '{}'", shorten(coding)))
                    .operation("read the request")
                    .context("header", name)
                    .hint("send the data as it is");
            return Err(match coding {
                "gzip" | "x-gzip" => {
                    error.hint("or without that header to the accelerator 'gunzip'")
                }
                _ => error,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(of: &[(&HeaderName, &'static str)]) -> HeaderMap {
        of.iter().map(|(name, value)| ((*name).clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_what_is_not_coded_is_taken() {
        let refused =
            |name, value| check(&headers(&[(name, value)])).err().map(|(status, _)| status);
        for value in ["", "identity", "Identity, identity"] {
            assert_eq!(refused(&header::CONTENT_ENCODING, value), None, "{value}");
        }
        for value in ["gzip", "X-Gzip", "identity, br", "zstd", "aws-chunked"] {
            let status = refused(&header::CONTENT_ENCODING, value);
            assert_eq!(status, Some(StatusCode::UNSUPPORTED_MEDIA_TYPE), "{value}");
        }
        assert_eq!(refused(&header::TRANSFER_ENCODING, "chunked"), None);
        let status = refused(&header::TRANSFER_ENCODING, "gzip, chunked");
        assert_eq!(status, Some(StatusCode::NOT_IMPLEMENTED));
        assert_eq!(refused(&header::CONTENT_RANGE, "bytes 1-2/3"), Some(StatusCode::BAD_REQUEST));
        assert!(check_part(&headers(&[(&WRAPPED, "8bit")])).is_ok());
        assert!(check_part(&headers(&[(&WRAPPED, "base64")])).is_err());
        let form = headers(&[(&header::CONTENT_TYPE, "Multipart/Form-Data; boundary=b")]);
        assert!(check_no_form(&form).is_err());
        let file = headers(&[(&header::CONTENT_TYPE, "application/x-www-form-urlencoded")]);
        assert!(check_no_form(&file).is_ok());
    }
}
