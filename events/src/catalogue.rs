//! All event types in one place: wire name ↔ struct ↔ enum variant.

use schemars::Schema;

use crate::{
    AccountId, Sealed, SealedField, account::AccountEvent, call::CallEvent, handle::HandleEvent,
    held::HeldEvent, member::MemberEvent, report::ReportEvent, room::RoomEvent, schedule::ScheduleEvent,
    space::SpaceEvent,
};

/// A stored event that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// This version of Veza does not know the type; a reader counts it and goes on.
    #[error("event type `{0}` is unknown here")]
    UnknownType(String),
    /// The body does not have the shape of its type.
    #[error("event of type `{kind}` has another shape: {source}")]
    Shape {
        /// Wire name.
        kind: String,
        /// What the decoder met.
        source: serde_json::Error,
    },
}

/// The schema of one event version.
#[derive(Clone, Debug)]
pub struct EventSchema {
    /// Wire name, also the name of the committed file.
    pub kind: &'static str,
    /// JSON Schema (2020-12) of the body.
    pub schema: Schema,
}

/// Declares the events of one aggregate. Each line names the wire name, the struct, and its sealed
/// fields.
macro_rules! events {
    (
        $(#[$doc:meta])+
        pub enum $name:ident {
            $($wire:literal => $event:ident $(seals [$($field:ident),+])?,)+
        }
    ) => {
        $(#[$doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = concat!("`", $wire, "`")] $event($event),)+
        }

        $(impl From<$event> for $name {
            fn from(event: $event) -> Self {
                Self::$event(event)
            }
        })+

        impl $name {
            /// Wire name of the event's type.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$event(_) => $wire,)+ }
            }

            /// Body to store.
            ///
            /// # Errors
            /// When a sealed field is still in clear.
            pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
                match self { $(Self::$event(event) => serde_json::to_vec(event),)+ }
            }

            /// Reads a stored body; `None` when the type is not one of this aggregate's.
            ///
            /// # Errors
            /// When the body does not have the shape of its type.
            pub fn decode(kind: &str, body: &[u8]) -> Option<Result<Self, $crate::DecodeError>> {
                match kind {
                    $($wire => Some(serde_json::from_slice(body).map(Self::$event).map_err(|source| {
                        $crate::DecodeError::Shape { kind: kind.to_owned(), source }
                    })),)+
                    _ => None,
                }
            }

            /// Hands every sealed field to `visit`.
            pub fn visit_sealed(&mut self, visit: &mut dyn FnMut(&mut dyn $crate::SealedField)) {
                let _ = &visit;
                match self {
                    $(Self::$event(event) => { let _ = &event; $($(visit(&mut event.$field);)+)? })+
                }
            }

            /// The schema of every version that is written.
            pub fn schemas() -> Vec<$crate::EventSchema> {
                vec![$($crate::EventSchema { kind: $wire, schema: schemars::schema_for!($event) },)+]
            }
        }
    };
}
pub(crate) use events;

macro_rules! aggregates {
    ($($variant:ident($event:ty),)+) => {
        /// Any event of any aggregate.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Event {
            $(#[doc = concat!("Of aggregate `", stringify!($variant), "`.")] $variant($event),)+
        }

        $(impl From<$event> for Event {
            fn from(event: $event) -> Self {
                Self::$variant(event)
            }
        })+

        impl Event {
            /// Wire name of the event's type.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant(event) => event.kind(),)+ }
            }

            /// Body to store.
            ///
            /// # Errors
            /// When a sealed field is still in clear.
            pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
                match self { $(Self::$variant(event) => event.encode(),)+ }
            }

            /// Reads a stored body.
            ///
            /// # Errors
            /// [`DecodeError`]: the type is unknown, or the body has another shape.
            pub fn decode(kind: &str, body: &[u8]) -> Result<Self, DecodeError> {
                $(if let Some(event) = <$event>::decode(kind, body) {
                    return event.map(Self::$variant);
                })+
                Err(DecodeError::UnknownType(kind.to_owned()))
            }

            /// Hands every sealed field to `visit`.
            pub fn visit_sealed(&mut self, visit: &mut dyn FnMut(&mut dyn SealedField)) {
                match self { $(Self::$variant(event) => event.visit_sealed(visit),)+ }
            }
        }

        /// The schemas of everything that is ever written.
        pub fn catalogue() -> Vec<EventSchema> {
            let mut all = Vec::new();
            $(all.extend(<$event>::schemas());)+
            all
        }
    };
}

aggregates! {
    Account(AccountEvent),
    Handle(HandleEvent),
    Space(SpaceEvent),
    Member(MemberEvent),
    Room(RoomEvent),
    Report(ReportEvent),
    Schedule(ScheduleEvent),
    Call(CallEvent),
    Held(HeldEvent),
}

impl Event {
    /// Whose data key the sealed fields stand under, when it is not the actor's.
    pub fn sealed_for(&self) -> Option<AccountId> {
        match self {
            Self::Account(AccountEvent::Registered(event)) => Some(event.account),
            Self::Account(AccountEvent::BotRegistered(event)) => Some(event.account),
            Self::Account(AccountEvent::BotChanged(event)) => Some(event.account),
            Self::Room(RoomEvent::MessagePosted(event)) => Some(event.author),
            Self::Room(RoomEvent::MessageEdited(event)) => Some(event.author),
            Self::Account(_)
            | Self::Handle(_)
            | Self::Space(_)
            | Self::Member(_)
            | Self::Room(_)
            | Self::Report(_)
            | Self::Schedule(_)
            | Self::Call(_)
            | Self::Held(_) => None,
        }
    }
}

/// A sealed text, in clear: how tests and fixtures write one.
impl From<&str> for Sealed<String> {
    fn from(text: &str) -> Self {
        Self::Clear(text.to_owned())
    }
}
