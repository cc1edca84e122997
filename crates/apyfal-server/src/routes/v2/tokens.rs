//! `/v2/tokens`: tokens beside the host's own, made and revoked by who has that.

use std::sync::Arc;

use apyfal_api::v2::{NewToken, Token, TokenRequest, Tokens};
use apyfal_core::{Error, ErrorKind, Owner, shorten, unix_time};
use apyfal_tls::token::{self, TokenHash};
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};

use crate::answer::Routed;
use crate::host::Host;
use crate::journal::TokenRecord;
use crate::routes::query::{Name, Query};

/// All of them, without what they are.
pub(crate) async fn list(
    State(host): State<Arc<Host>>,
    Extension(owner): Extension<Owner>,
) -> Routed<Json<Tokens>> {
    host.access.may_manage(&owner)?;
    let told = |TokenRecord { name, created, .. }| Token { name, created };
    let tokens = host.journal.tokens().await?.into_iter().map(told).collect();
    Ok(Json(Tokens { tokens }))
}

/// Makes one.
pub(crate) async fn add(
    State(host): State<Arc<Host>>,
    Extension(owner): Extension<Owner>,
    Query(TokenRequest { name }): Query<TokenRequest>,
) -> Routed<(StatusCode, Json<NewToken>)> {
    host.access.may_manage(&owner)?;
    if !Owner::is_name_of_token(&name) {
        return Err(Error::new(ErrorKind::Usage, format!("'{}' names no token", shorten(&name)))
            .operation("make a token")
            .hint("a name has 1 to 64 letters, digits, '-', '_' and '.'; 'host' is the host's own")
            .into());
    }
    let _one_at_a_time = host.access.tokens.changing().await;
    if host.journal.tokens().await?.iter().any(|token| token.name == name) {
        return Err(Error::new(ErrorKind::Conflict, format!("there is a token '{name}' already"))
            .operation("make a token")
            .hint("give it another name, or remove that one first")
            .into());
    }
    let token = token::generate()?;
    let record = TokenRecord {
        name: name.clone(),
        hash: TokenHash::of(&token),
        created: unix_time().as_secs_f64(),
    };
    host.journal.add_token(record.clone()).await?;
    host.access.tokens.add(&record);
    host.logs.host(&format!("the token '{name}' was made"));
    let made = NewToken { name, created: record.created, token: token.expose().to_owned() };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Revokes one: from now on nobody is served by it.
pub(crate) async fn remove(
    State(host): State<Arc<Host>>,
    Extension(owner): Extension<Owner>,
    Name(name): Name,
) -> Routed<Json<Token>> {
    host.access.may_manage(&owner)?;
    let _one_at_a_time = host.access.tokens.changing().await;
    let mut tokens = host.journal.tokens().await?.into_iter();
    let Some(TokenRecord { created, .. }) = tokens.find(|token| token.name == name) else {
        let why = format!("there is no token '{}'", shorten(&name));
        return Err(Error::new(ErrorKind::NotFound, why)
            .operation("remove a token")
            .hint("GET /v2/tokens lists those that there are")
            .into());
    };
    // Whatever becomes of the journal, who wants this wants it now.
    host.access.tokens.remove(&name);
    host.journal.remove_token(&name).await?;
    host.logs.host(&format!("the token '{name}' was removed"));
    Ok(Json(Token { name, created }))
}
