//! Facts about what one member wants to say in a space later.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, MessageId, RoomId, ScheduledId, Sealed, SpaceId, Timestamp, catalogue::events, room::Mentions,
};

events! {
    /// What can happen to messages that wait for their time.
    pub enum ScheduleEvent {
        "schedule.message_added.v1" => MessageAdded seals [body, mentions],
        "schedule.message_changed.v1" => MessageChanged seals [body, mentions],
        "schedule.message_cancelled.v1" => MessageCancelled,
        "schedule.message_sent.v1" => MessageSent,
        "schedule.message_refused.v1" => MessageRefused,
    }
}

macro_rules! of_every_event {
    ($($event:ident),+) => {
        impl ScheduleEvent {
            /// Which message it is about.
            pub fn scheduled(&self) -> ScheduledId {
                match self { $(Self::$event(event) => event.scheduled,)+ }
            }
        }
    };
}

of_every_event!(
    MessageAdded,
    MessageChanged,
    MessageCancelled,
    MessageSent,
    MessageRefused
);

/// Somebody wrote a message that is to be sent later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageAdded {
    /// Which one.
    pub scheduled: ScheduledId,
    /// In which space.
    pub space: SpaceId,
    /// Who wants to say it.
    pub account: AccountId,
    /// In which room, or thread.
    pub room: RoomId,
    /// What.
    pub body: Sealed<String>,
    /// Which message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// Of whom and what it speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mentions: Option<Sealed<Mentions>>,
    /// When.
    pub at: Timestamp,
}

/// It is to say something else, or at another time. What is absent stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageChanged {
    /// Which one.
    pub scheduled: ScheduledId,
    /// The whole new text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Sealed<String>>,
    /// Of whom and what that speaks; of nobody when there is a new text and this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mentions: Option<Sealed<Mentions>>,
    /// The new time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// It is not to be sent, or, after a refusal, not to be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageCancelled {
    /// Which one.
    pub scheduled: ScheduledId,
}

/// It was said. Stored in one batch with the message in the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageSent {
    /// Which one.
    pub scheduled: ScheduledId,
    /// The message that it became.
    pub message: MessageId,
}

/// Its time came, and its author was not allowed to say it then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageRefused {
    /// Which one.
    pub scheduled: ScheduledId,
    /// Code of the refusal, as a door would have given it.
    pub code: String,
}
