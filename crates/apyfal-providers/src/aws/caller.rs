//! Who calls, as AWS knows it.

use apyfal_core::Result;

use super::api::{Api, Params};

/// The one whose credentials sign the calls.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The name in the account: `arn:aws:iam::123456789012:user/me`.
    pub(crate) arn: String,
    /// The number of the account.
    pub(crate) account: String,
}

impl Caller {
    /// Asks AWS, which tells it everybody whom it knows.
    ///
    /// # Errors
    /// The credentials are not taken, or nobody answers.
    pub(crate) async fn of(api: &Api) -> Result<Self> {
        let answer = api.sts("GetCallerIdentity", &Params::new()).await?;
        let said = |what: &str| {
            let text = answer.text(&format!("GetCallerIdentityResult/{what}"));
            text.unwrap_or_default().to_owned()
        };
        Ok(Self { arn: said("Arn"), account: said("Account") })
    }
}
