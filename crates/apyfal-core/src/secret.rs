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

/// Whether a key's value is a secret: `secret_id`, `client_secret`, `token`, `aws_secret_access_key`.
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("secret")
        || key.contains("password")
        || key.contains("passphrase")
        || key.contains("credential")
        || key.contains("private_key")
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
