//! The tokens of a host beside its own.

use apyfal_api::v2;
use apyfal_core::Result;
use http::Method;

use super::failure::Failure;
use super::{ANSWER, Remote, in_path};

impl Remote {
    /// The tokens beside the host's own, by name, without what they are.
    ///
    /// # Errors
    /// It does not answer, or refuses: that is for who has the host's own token.
    pub async fn tokens(&self) -> Result<Vec<v2::Token>> {
        Ok(self.0.get_patiently::<v2::Tokens>("/v2/tokens").await?.tokens)
    }

    /// Makes a token for one who is to use the host; the host shows it this one time.
    ///
    /// # Errors
    /// As [`tokens`](Self::tokens), or the name is in use or no name. It is asked once, since a token
    /// whose answer got lost is there.
    pub async fn add_token(&self, name: &str) -> Result<v2::NewToken> {
        let path = format!("/v2/tokens?name={}", in_path(name));
        self.0.answer(&Method::POST, &path, ANSWER).await.map_err(Failure::into_error)
    }

    /// Revokes a token: from now on the host serves nobody by it.
    ///
    /// # Errors
    /// As [`tokens`](Self::tokens), or there is none of this name.
    pub async fn remove_token(&self, name: &str) -> Result<v2::Token> {
        let path = format!("/v2/tokens/{}", in_path(name));
        self.0.answer(&Method::DELETE, &path, ANSWER).await.map_err(Failure::into_error)
    }
}
