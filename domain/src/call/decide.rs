//! One decision about a call at a time: rejections first, the good path last.

use veza_events::{
    AccountId, CallId, ParticipantId, Permission, SpaceId, TrackId,
    call::{
        CallEvent, CloseReason, Closed, LeaveReason, Opened, ParticipantJoined, ParticipantLeft, TrackMuted,
        TrackPublished, TrackSource, TrackUnpublished,
    },
};

use super::{
    Call, CallContext, CallRejection, CallState, Decision, MAX_LAYERS, MAX_NAME, Participant, Shown, Track,
};
use crate::{Decider, space::SpaceRejection};

/// One decision, with all that it looks at.
pub(super) struct Deciding<'a> {
    pub(super) state: &'a CallState,
    pub(super) context: &'a CallContext<'a>,
}

impl Deciding<'_> {
    /// The space, for those who may do this in the room.
    fn may(&self, permission: Permission) -> Result<SpaceId, CallRejection> {
        let CallContext {
            room,
            space,
            actor,
            membership,
            ..
        } = *self.context;
        space.requires_in_room(room, membership, actor, permission)?;
        Ok(space.space.ok_or(SpaceRejection::NotFound)?)
    }

    /// As [`Self::may`], of what two who have blocked one another may not do.
    fn may_meet(&self, permission: Permission) -> Result<SpaceId, CallRejection> {
        match self.may(permission)? {
            _ if self.context.blocked => Err(CallRejection::Blocked),
            space => Ok(space),
        }
    }

    fn call(&self) -> Result<CallId, CallRejection> {
        self.state.call.ok_or(CallRejection::NotOpen)
    }

    fn stay(&self, participant: ParticipantId) -> Result<(CallId, &Participant), CallRejection> {
        let call = self.call()?;
        let stay = self.state.participants.get(&participant);
        Ok((call, stay.ok_or(CallRejection::NotIn)?))
    }

    /// The stay, if it is one of who asks.
    fn own(&self, participant: ParticipantId) -> Result<(CallId, &Participant), CallRejection> {
        let stay = self.state.own(participant, self.context.actor)?;
        Ok((self.call()?, stay))
    }

    /// The space that a call lies in, also for those who are leaving it.
    fn space(&self) -> Result<SpaceId, CallRejection> {
        let space = self.context.space.space;
        Ok(space.ok_or(SpaceRejection::NotFound)?)
    }

    pub(super) fn join(&self, new: CallId, participant: ParticipantId) -> Decision {
        let CallContext {
            room, actor, limits, ..
        } = *self.context;
        let space = self.may_meet(Permission::View)?;
        if self.state.participants.contains_key(&participant) {
            return Ok(Vec::new());
        }
        if self.state.participants.len() >= limits.participants {
            return Err(CallRejection::Full(limits.participants));
        }
        let stays = self.state.participants.values();
        if stays.filter(|stay| stay.account == actor).count() >= limits.per_account {
            return Err(CallRejection::TooManyDevices(limits.per_account));
        }
        let mut facts = Vec::new();
        let call = self.state.call.unwrap_or(new);
        if self.state.call.is_none() {
            self.may(Permission::Speak)?;
            let by = actor;
            facts.push(
                Opened {
                    space,
                    room,
                    call,
                    by,
                }
                .into(),
            );
        }
        let account = actor;
        let joined = ParticipantJoined {
            space,
            room,
            call,
            participant,
            account,
        };
        facts.push(joined.into());
        Ok(facts)
    }

    pub(super) fn stream(&self, new: CallId, participant: ParticipantId, shows: Vec<Shown>) -> Decision {
        self.may_meet(Permission::View)?;
        if shows.is_empty() {
            self.call()?;
        }
        let mut facts = self.join(new, participant)?;
        let mut state = self.state.clone();
        for fact in &facts {
            Call::evolve(&mut state, fact);
        }
        for shown in shows {
            let deciding = Deciding {
                state: &state,
                context: self.context,
            };
            let published = deciding.publish(participant, shown)?;
            for fact in &published {
                Call::evolve(&mut state, fact);
            }
            facts.extend(published);
        }
        Ok(facts)
    }

    pub(super) fn leave(&self, participant: ParticipantId, gone: bool) -> Decision {
        self.own(participant)?;
        let why = if gone {
            LeaveReason::Gone
        } else {
            LeaveReason::Left
        };
        self.out(participant, why, None)
    }

    /// Somebody is in no more; when nobody is left, the call is over.
    fn out(&self, participant: ParticipantId, why: LeaveReason, by: Option<AccountId>) -> Decision {
        let (call, stay) = self.stay(participant)?;
        let (space, room, account) = (self.space()?, self.context.room, stay.account);
        let left = ParticipantLeft {
            space,
            room,
            call,
            participant,
            account,
            why,
            by,
        };
        let mut facts = vec![left.into()];
        if self.state.participants.len() == 1 {
            facts.extend(self.closed(CloseReason::Empty, None)?);
        }
        Ok(facts)
    }

    fn closed(&self, why: CloseReason, by: Option<AccountId>) -> Decision {
        let (space, room, call) = (self.space()?, self.context.room, self.call()?);
        let closed = Closed {
            space,
            room,
            call,
            why,
            by,
        };
        Ok(vec![closed.into()])
    }

    pub(super) fn publish(&self, participant: ParticipantId, shown: Shown) -> Decision {
        let Shown {
            track,
            source,
            codec,
            layers,
        } = shown;
        let (call, stay) = self.own(participant)?;
        let space = self.may_meet(permission_for(source))?;
        if stay.tracks.contains_key(&track) {
            return Ok(Vec::new());
        }
        if stay.tracks.values().any(|track| track.source == source) {
            return Err(CallRejection::Published(source));
        }
        let named = layers.iter().chain([&codec]).all(|name| is_name(name));
        if !named || layers.len() > MAX_LAYERS {
            return Err(CallRejection::Layers);
        }
        let (room, account) = (self.context.room, self.context.actor);
        let published = TrackPublished {
            space,
            room,
            call,
            track,
            participant,
            account,
            source,
            codec,
            layers,
        };
        Ok(vec![published.into()])
    }

    pub(super) fn unpublish(&self, participant: ParticipantId, track: TrackId) -> Decision {
        let (call, stay) = self.own(participant)?;
        if !stay.tracks.contains_key(&track) {
            return Err(CallRejection::NoTrack);
        }
        let (space, room) = (self.space()?, self.context.room);
        let unpublished = TrackUnpublished {
            space,
            room,
            call,
            track,
            participant,
        };
        Ok(vec![unpublished.into()])
    }

    pub(super) fn mute(&self, participant: ParticipantId, track: TrackId, muted: bool) -> Decision {
        let (call, stay) = self.stay(participant)?;
        let by = self.context.actor;
        let Some(known) = stay.tracks.get(&track) else {
            self.may(Permission::View)?;
            return Err(CallRejection::NoTrack);
        };
        let space = match (stay.account == by, muted) {
            (true, true) => self.space()?,
            (true, false) => self.may(permission_for(known.source))?,
            (false, true) => self.may(Permission::ModerateCalls)?,
            (false, false) => {
                self.may(Permission::ModerateCalls)?;
                return Err(CallRejection::OnlyOwnerUnmutes);
            }
        };
        if known.muted == muted {
            return Ok(Vec::new());
        }
        let room = self.context.room;
        let muted = TrackMuted {
            space,
            room,
            call,
            track,
            participant,
            muted,
            by,
        };
        Ok(vec![muted.into()])
    }

    pub(super) fn kick(&self, participant: ParticipantId) -> Decision {
        self.may(Permission::ModerateCalls)?;
        let (_, stay) = self.stay(participant)?;
        let CallContext { space, actor, .. } = *self.context;
        if space.is_owner(stay.account) && stay.account != actor {
            return Err(CallRejection::Owner);
        }
        self.out(participant, LeaveReason::Kicked, Some(actor))
    }

    pub(super) fn end(&self) -> Decision {
        self.may(Permission::ModerateCalls)?;
        self.closed(CloseReason::Ended, Some(self.context.actor))
    }

    /// Who may not see the room any more, or not meet who is there, is taken out; who may not show something any more, shows it no more.
    pub(super) fn review(&self, participant: ParticipantId) -> Decision {
        let (call, stay) = self.own(participant)?;
        if self.may_meet(Permission::View).is_err() {
            return self.out(participant, LeaveReason::AccessLost, None);
        }
        let lost = |track: &Track| self.may(permission_for(track.source)).is_err();
        let (space, room) = (self.space()?, self.context.room);
        let gone = stay.tracks.iter().filter(|(_, track)| lost(track));
        let unpublished = gone.map(|(&track, _)| {
            CallEvent::from(TrackUnpublished {
                space,
                room,
                call,
                track,
                participant,
            })
        });
        Ok(unpublished.collect())
    }

    pub(super) fn abandon(&self) -> Decision {
        match self.state.call {
            Some(_) => self.closed(CloseReason::WorkerLost, None),
            None => Ok(Vec::new()),
        }
    }
}

fn permission_for(source: TrackSource) -> Permission {
    match source {
        TrackSource::Microphone | TrackSource::Camera => Permission::Speak,
        TrackSource::Screen | TrackSource::ScreenAudio => Permission::ShareScreen,
    }
}

/// Names of codecs and layers are short and plain: they stand in the log, and in frames to everybody.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(plain)
}
