//! Messages that wait for their time, the same for every door.

use time::OffsetDateTime;
use veza_events::{AccountId, ScheduledId};
use veza_platform::contract::chat::{CancelScheduled, ChangeScheduled, MessageScheduled, ScheduleMessage};
use veza_platform::contract::{Caller, Problem, ProblemKind};
use veza_readmodel::rows::Scheduled;

use crate::problems::of_read_model;
use crate::state::Gateway;

impl Gateway {
    /// Says something later. Of whom and what it speaks is read out of the text here.
    ///
    /// # Errors
    /// The refusals of the command; `platform.…`.
    pub(crate) async fn schedule(
        &self,
        caller: &Caller,
        mut command: ScheduleMessage,
    ) -> Result<MessageScheduled, Problem> {
        let (author, room) = (caller.account()?, command.room);
        command.mentions = self.mentions(author, room, &command.body).await;
        self.chat(caller, &command).await
    }

    /// The command that gives a message another text or time.
    ///
    /// # Errors
    /// `schedule.not_found`; what the read model says.
    pub(crate) async fn scheduled_change(
        &self,
        author: AccountId,
        id: ScheduledId,
        body: Option<String>,
        at: Option<OffsetDateTime>,
    ) -> Result<ChangeScheduled, Problem> {
        let found = self.own_scheduled(author, id).await?;
        let text = body.as_deref().unwrap_or_default();
        Ok(ChangeScheduled {
            space: found.space,
            scheduled: found.id,
            mentions: self.mentions(author, found.room, text).await,
            body,
            at: at.map(Into::into),
        })
    }

    /// The command that takes a message back before its time.
    ///
    /// # Errors
    /// As [`Self::scheduled_change`].
    pub(crate) async fn scheduled_cancel(
        &self,
        author: AccountId,
        id: ScheduledId,
    ) -> Result<CancelScheduled, Problem> {
        let found = self.own_scheduled(author, id).await?;
        Ok(CancelScheduled {
            space: found.space,
            scheduled: found.id,
        })
    }

    async fn own_scheduled(&self, author: AccountId, id: ScheduledId) -> Result<Scheduled, Problem> {
        let found = self.read.one_scheduled(author, id).await.map_err(of_read_model)?;
        found.ok_or_else(|| {
            let detail = "there is no such scheduled message; it may have been sent. If it is new, pass its position \
                          (`Veza-Seq`) as `Veza-Min-Seq` or `min_position`";
            Problem::new(ProblemKind::NotFound, "schedule.not_found", detail)
        })
    }
}
