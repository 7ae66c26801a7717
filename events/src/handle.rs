//! Facts about a name or an e-mail address: who holds it. The name itself is only in the subject, as a
//! keyed digest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccountId, catalogue::events};

events! {
    /// What can happen to a name.
    pub enum HandleEvent {
        "handle.claimed.v1" => Claimed,
        "handle.released.v1" => Released,
    }
}

/// The name now belongs to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claimed {
    /// Its holder.
    pub account: AccountId,
}

/// The name is free again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Released {
    /// Its last holder.
    pub account: AccountId,
}
