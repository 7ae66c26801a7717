//! What concerns an account and not a room: the projector says it once it can be read, and every socket of the
//! account hears it. One subscription for all accounts; notices are few.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use veza_events::AccountId;
use veza_readmodel::notice::AccountNotice;

use super::frames::Outgoing;
use super::hub::Hub;

const SUBJECT: &str = "notice.account.*";
const PREFIX: &str = "notice.account.";
/// Pause before a subscription is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Passes notices on, for as long as the process lives.
pub(super) async fn run(hub: Arc<Hub>, client: async_nats::Client) {
    loop {
        match client.subscribe(SUBJECT).await {
            Ok(mut notices) => {
                while let Some(message) = notices.next().await {
                    pass_on(&hub, &message);
                }
            }
            Err(error) => tracing::warn!(error.message = %error, "notices cannot be heard; trying again"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn pass_on(hub: &Hub, message: &async_nats::Message) {
    let account = message.subject.strip_prefix(PREFIX).map(str::parse::<AccountId>);
    let Some(Ok(account)) =
        account.filter(|account| matches!(account, Ok(account) if hub.sockets.has(*account)))
    else {
        return;
    };
    match serde_json::from_slice::<AccountNotice>(&message.payload) {
        Ok(notice) => hub.sockets.tell(account, &account_frame(&notice).frame()),
        Err(error) => tracing::warn!(error.message = %error, "a notice cannot be read"),
    }
}

fn account_frame(notice: &AccountNotice) -> Outgoing<'_> {
    Outgoing::Account {
        stream: &notice.stream,
        seq: notice.seq,
        kind: &notice.kind,
        at: notice.at,
        data: &notice.data,
    }
}
