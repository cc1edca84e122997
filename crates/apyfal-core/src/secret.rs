//! Values that must not be shown.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// A text that prints as `***` and is wiped from memory when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Whether a key's value is a secret: `secret_id`, `client_secret`, `token`, `aws_secret_access_key`, `api_key`,
/// `X-Api-Key`, `apiKey`.
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    // Words are written apart with one or the other, or not at all.
    let joined = key.replace(['_', '-'], "");
    ["secret", "password", "passwd", "passphrase", "credential", "privatekey", "apikey"]
        .iter()
        .any(|word| joined.contains(word))
        || ["accesstoken", "authtoken", "accesskey"].iter().any(|word| joined.ends_with(word))
        || key == "token"
        || key.ends_with("_token")
        || key.ends_with("-token")
        || key == "authorization"
        || key == "ssl_cert_key"
}

/// Replaces the value of every secret key, at any depth, by `***`.
pub fn mask(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if is_secret_key(key) && !value.is_null() {
                    *value = Value::String("***".to_owned());
                } else {
                    mask(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(mask),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn names_tell_what_is_secret() {
        for key in [
            "secret_id",
            "clientSecret",
            "aws_secret_access_key",
            "Token",
            "session-token",
            "accessToken",
            "api_key",
            "API_KEY",
            "x-api-key",
            "openaiApiKey",
            "private-key",
            "account_access_key",
            "Authorization",
            "ssl_cert_key",
            "passwd",
        ] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in [
            "client_id",
            "aws_access_key_id",
            "key",
            "key_pair",
            "tokens",
            "max_tokens",
            "api",
            "level",
            "ssl_cert_crt",
        ] {
            assert!(!is_secret_key(key), "{key}");
        }
    }

    #[test]
    fn masks_at_any_depth() {
        let mut value =
            json!({"env": {"client_id": "a", "client_secret": "b"}, "l": [{"token": "c"}]});
        mask(&mut value);
        assert_eq!(
            value,
            json!({"env": {"client_id": "a", "client_secret": "***"}, "l": [{"token": "***"}]})
        );
    }
}
