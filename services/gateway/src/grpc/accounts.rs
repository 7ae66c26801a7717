//! `veza.v1.Accounts`

use std::sync::Arc;

use prost_types::Timestamp;
use tonic::{Request, Response, Status};
use veza_events::AccountId;
use veza_platform::ambient;
use veza_platform::contract::{Problem, ProblemKind};
use veza_platform::tokens::TokenError;

use super::wire::{
    Account, GetAccountRequest, Principal, VerifyTokenReply, VerifyTokenRequest, accounts_server,
};
use super::{caller_of, status, uuid_of};
use crate::http::Identity;
use crate::problems::of_read_model;
use crate::state::Gateway;

pub(super) struct Accounts(pub(super) Arc<Gateway>);

#[tonic::async_trait]
impl accounts_server::Accounts for Accounts {
    async fn get(&self, request: Request<GetAccountRequest>) -> Result<Response<Account>, Status> {
        let identity = caller_of(&request)?;
        let found = self.find(identity, &request.into_inner().account).await;
        found.map(Response::new).map_err(|problem| status::of(&problem))
    }

    async fn verify_token(
        &self,
        request: Request<VerifyTokenRequest>,
    ) -> Result<Response<VerifyTokenReply>, Status> {
        caller_of(&request)?;
        let token = request.into_inner().access_token;
        let principal = match self.0.verifier.verify(&token, ambient::now()) {
            Ok(claims) => Some(Principal {
                account: claims.sub.to_string(),
                session: claims.sid.to_string(),
                expires_at: Some(Timestamp {
                    seconds: claims.exp,
                    nanos: 0,
                }),
                scope: claims.scope,
            }),
            Err(TokenError::Invalid | TokenError::Expired | TokenError::Revoked) => None,
            Err(error @ TokenError::NotReady) => return Err(status::of(&Problem::from(error))),
        };
        Ok(Response::new(VerifyTokenReply { principal }))
    }
}

impl Accounts {
    async fn find(&self, identity: Identity, account: &str) -> Result<Account, Problem> {
        let account: AccountId = match account {
            "" => identity.account(),
            id => uuid_of(id, "account")?,
        };
        let row = self.0.read.account(account).await.map_err(of_read_model)?;
        let row = row.ok_or_else(|| {
            let detail = "there is no such account";
            Problem::new(ProblemKind::NotFound, "account.not_found", detail)
        })?;
        Ok(Account {
            id: row.id.to_string(),
            handle: row.handle.unwrap_or_default(),
            display_name: row.display_name.unwrap_or_default(),
        })
    }
}
