//! What the chat workers take, on `cmd.chat.<shard>.<space>`: the space is always in the command.

mod directs;
mod integrations;
mod members;
mod messages;
mod moderation;
mod rooms;
mod schedules;
mod spaces;

use serde::{Deserialize, Serialize};
use veza_events::SpaceId;

pub use directs::{AddToDirect, DirectOpened, OpenDirect};
pub use integrations::{
    CallSlash, ChangeWebhookSecret, CreateWebhook, DefineSlash, PostByWebhook, RemoveSlash, RemoveWebhook,
    SlashTaker, WebhookAddress,
};
pub use members::{
    AcceptInvite, Access, BringBot, ChangeMember, CreateInvite, GetAccess, InviteCreated, RemoveMember,
    RevokeInvite,
};
pub use messages::{ChangeMessage, ImportMessage, MessageChange, Post, Posted, SeenMessage};
pub use moderation::{
    DecideHeld, DeleteMessages, FiltersFound, GetFilters, GetRaid, RaidFound, ReleaseMember, ReportMessage,
    Reported, ResolveReport, SetFilters, SetRaidBrake, SwitchRaid,
};
pub use rooms::{ChangeRoom, CreateRoom, OpenThread, PlaceRoom, RoomCreated};
pub use schedules::{CancelScheduled, ChangeScheduled, MessageScheduled, RefuseScheduled, ScheduleMessage};
pub use spaces::{
    CategoryCreated, ChangeCategory, ChangeSpace, CreateCategory, CreateSpace, DefineRole, ExportAllowed,
    MayExport, Preset, RemoveCategory, RemoveOverride, RemoveRole, SetOverride, SpaceCreated,
};

use super::commands;
use crate::event_log::Position;

/// A command for a chat worker names its space, by which it is routed.
pub trait InSpace {
    /// The space.
    fn space(&self) -> SpaceId;
}

/// Done; where it was written.
#[derive(Debug, Serialize, Deserialize)]
pub struct Changed {
    /// The last event.
    pub position: Position,
}

commands! {
    "create_space": CreateSpace => SpaceCreated,
    "change_space": ChangeSpace => Changed,
    "create_room": CreateRoom => RoomCreated,
    "change_room": ChangeRoom => Changed,
    "open_direct": OpenDirect => DirectOpened,
    "add_to_direct": AddToDirect => Changed,
    "place_room": PlaceRoom => Changed,
    "create_category": CreateCategory => CategoryCreated,
    "change_category": ChangeCategory => Changed,
    "remove_category": RemoveCategory => Changed,
    "set_override": SetOverride => Changed,
    "remove_override": RemoveOverride => Changed,
    "define_role": DefineRole => Changed,
    "remove_role": RemoveRole => Changed,
    "create_invite": CreateInvite => InviteCreated,
    "revoke_invite": RevokeInvite => Changed,
    "accept_invite": AcceptInvite => Changed,
    "bring_bot": BringBot => Changed,
    "change_member": ChangeMember => Changed,
    "remove_member": RemoveMember => Changed,
    "post": Post => Posted,
    "import_message": ImportMessage => Posted,
    "change_message": ChangeMessage => Posted,
    "open_thread": OpenThread => RoomCreated,
    "delete_messages": DeleteMessages => Changed,
    "report_message": ReportMessage => Reported,
    "resolve_report": ResolveReport => Changed,
    "set_filters": SetFilters => Changed,
    "get_filters": GetFilters => FiltersFound,
    "set_raid_brake": SetRaidBrake => Changed,
    "switch_raid": SwitchRaid => Changed,
    "release_member": ReleaseMember => Changed,
    "get_raid": GetRaid => RaidFound,
    "create_webhook": CreateWebhook => WebhookAddress,
    "change_webhook_secret": ChangeWebhookSecret => WebhookAddress,
    "remove_webhook": RemoveWebhook => Changed,
    "post_by_webhook": PostByWebhook => Posted,
    "define_slash": DefineSlash => Changed,
    "remove_slash": RemoveSlash => Changed,
    "call_slash": CallSlash => SlashTaker,
    "schedule_message": ScheduleMessage => MessageScheduled,
    "change_scheduled": ChangeScheduled => Changed,
    "cancel_scheduled": CancelScheduled => Changed,
    "refuse_scheduled": RefuseScheduled => Changed,
    "decide_held": DecideHeld => Changed,
    "may_export": MayExport => ExportAllowed,
    "get_access": GetAccess => Access,
}

macro_rules! in_space {
    ($($command:ty),+ $(,)?) => {$(
        impl InSpace for $command {
            fn space(&self) -> SpaceId {
                self.space
            }
        }
    )+};
}

in_space!(
    CreateSpace,
    ChangeSpace,
    CreateRoom,
    ChangeRoom,
    OpenDirect,
    AddToDirect,
    PlaceRoom,
    CreateCategory,
    ChangeCategory,
    RemoveCategory,
    SetOverride,
    RemoveOverride,
    DefineRole,
    RemoveRole,
    CreateInvite,
    RevokeInvite,
    AcceptInvite,
    BringBot,
    ChangeMember,
    RemoveMember,
    Post,
    ImportMessage,
    ChangeMessage,
    OpenThread,
    CreateWebhook,
    ChangeWebhookSecret,
    RemoveWebhook,
    PostByWebhook,
    DefineSlash,
    RemoveSlash,
    CallSlash,
    DeleteMessages,
    ReportMessage,
    ResolveReport,
    SetFilters,
    GetFilters,
    SetRaidBrake,
    SwitchRaid,
    ReleaseMember,
    GetRaid,
    ScheduleMessage,
    ChangeScheduled,
    CancelScheduled,
    RefuseScheduled,
    DecideHeld,
    MayExport,
    GetAccess,
);
