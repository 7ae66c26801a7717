//! What a client saw last.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, de::Error as _};
use veza_events::RoomId;

/// The last sequences that a client saw, by room; under `account`, that of what concerns the account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "BTreeMap<String, u64>")]
pub(crate) struct ResumeFrom {
    /// Of each room.
    pub(crate) rooms: BTreeMap<RoomId, u64>,
    /// Of what concerns the account.
    pub(crate) account: Option<u64>,
}

impl TryFrom<BTreeMap<String, u64>> for ResumeFrom {
    type Error = serde_json::Error;

    fn try_from(map: BTreeMap<String, u64>) -> Result<Self, Self::Error> {
        let mut from = Self::default();
        for (key, seq) in map {
            match key.parse() {
                Ok(room) => {
                    from.rooms.insert(room, seq);
                }
                Err(_) if key == "account" => from.account = Some(seq),
                Err(_) => return Err(serde_json::Error::custom("a key is neither a room nor `account`")),
            }
        }
        Ok(from)
    }
}
