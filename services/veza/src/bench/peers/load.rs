//! One process of load on another server: members that listen, one more in each room that speaks.

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::wire::Member;
use super::{Fan, Plan, Seen};
use crate::bench::load_process;

/// Members that join at once.
const JOINING: usize = 32;
/// How long the last deliveries may take after the last send.
const TAIL: Duration = Duration::from_secs(20);

/// Runs the plan on standard input and shows what was seen.
pub(in crate::bench) async fn run() -> anyhow::Result<()> {
    let plan: Plan = load_process::plan()?;
    let Fan { rooms, members, .. } = plan.fan;
    let seats = (0..rooms).flat_map(|room| (0..=members).map(move |number| (room, number)));
    let joins = seats.map(|(room, number)| async move {
        let member = Member::join(plan.peer, plan.port, room, number).await?;
        anyhow::Ok((room, number, member))
    });
    let joined: Vec<_> = stream::iter(joins)
        .buffer_unordered(JOINING)
        .try_collect()
        .await?;
    let (speakers, listeners): (Vec<_>, Vec<_>) =
        joined.into_iter().partition(|(_, number, _)| *number == members);
    load_process::wait_to_begin()?;

    let limit = Duration::from_secs_f64(plan.fan.messages as f64 / plan.fan.rate) + TAIL;
    let listening = join_all(
        listeners
            .into_iter()
            .map(|(_, _, member)| listen(member, plan.fan, limit)),
    );
    let speaking = try_join_all(
        speakers
            .into_iter()
            .map(|(room, _, member)| speak(member, room, plan.fan)),
    );
    let (heard, spoken) = tokio::join!(listening, speaking);
    let (heard, listeners): (Vec<u64>, Vec<Member>) = heard.into_iter().unzip();
    // Open until everything is measured.
    let _open = (listeners, spoken?);
    let short = heard.iter().filter(|heard| **heard != plan.fan.messages);
    let seen = Seen {
        delivered: heard.iter().sum(),
        faults: short
            .map(|heard| format!("{heard} of {} deliveries in order", plan.fan.messages))
            .collect(),
    };
    load_process::finish(&seen)
}

/// Counts what comes, as long as it comes in order.
async fn listen(mut member: Member, fan: Fan, limit: Duration) -> (u64, Member) {
    let mut next = 0;
    let ends = Instant::now() + limit;
    while next < fan.messages {
        let mut hear = |text: &str| {
            if text.split(' ').next().and_then(|number| number.parse().ok()) == Some(next) {
                next += 1;
            }
        };
        let left = ends.saturating_duration_since(Instant::now());
        if !matches!(timeout(left, member.listen(&mut hear)).await, Ok(Ok(()))) {
            break;
        }
    }
    (next, member)
}

/// Says everything, and hears what comes back meanwhile so that it does not pile up.
async fn speak(mut member: Member, room: usize, fan: Fan) -> anyhow::Result<Member> {
    let mut ticks = interval(Duration::from_secs_f64(1.0 / fan.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut number = 0;
    while number < fan.messages {
        tokio::select! {
            _ = ticks.tick() => {
                // As long as what Veza's own load says.
                let text = format!("{number} {:019} a message of an ordinary length, as people write them", 0);
                member.say(room, &text).await?;
                number += 1;
            }
            heard = member.listen(|_| {}) => heard?,
        }
    }
    Ok(member)
}
