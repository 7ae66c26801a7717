//! The event log against real servers: one node, and three that replicate. Both must keep every promise.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "tests and measurements"
)]

#[path = "event_log/append.rs"]
mod append;
#[path = "event_log/buckets.rs"]
mod buckets;
#[path = "event_log/faults.rs"]
mod faults;
#[path = "event_log/read.rs"]
mod read;
#[path = "event_log/site.rs"]
mod site;
#[path = "event_log/speed.rs"]
mod speed;

use site::Site;

macro_rules! on_one_node_and_on_three {
    ($($topic:ident { $($name:ident)* })*) => {
        mod one_node { $(mod $topic { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::$topic::$name(crate::Site::one_node().await).await;
            }
        )* })* }
        mod three_nodes { $(mod $topic { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::$topic::$name(crate::Site::three_nodes().await).await;
            }
        )* })* }
    };
}

on_one_node_and_on_three! {
    append {
        an_own_sequence_lets_one_writer_in
        a_draft_that_lost_can_be_stored_under_the_same_id
        a_repeated_id_is_stored_once
        an_id_repeated_at_the_same_moment_is_stored_once
        a_ban_and_a_message_never_pass_each_other
        a_batch_is_stored_side_by_side_or_not_at_all
        a_batch_expects_the_state_before_it
        a_repeated_batch_is_recognised
        many_at_once_are_all_stored_once
        one_stale_append_does_not_hurt_its_neighbours
        what_is_too_large_is_refused
    }
    read {
        load_page_follow_and_live_agree
        pages_are_bounded_and_chained
        the_last_event_is_found
        a_slow_reader_of_the_live_feed_is_told
        a_follower_of_accounts_sees_two_kinds_of_subjects_in_order
        events_are_found_by_time
    }
    buckets {
        applying_the_streams_again_changes_nothing
        other_shards_than_the_installation_has_are_refused
        of_several_creators_one_wins
        an_entry_is_replaced_under_its_revision_only
        of_several_takers_one_wins
        a_watcher_sees_what_is_there_and_what_changes
    }
    faults {
        an_append_without_servers_is_unavailable_and_works_later
        a_follower_survives_the_death_of_the_servers
        a_live_feed_reports_a_reconnect
        the_death_of_the_leader_loses_nothing_acked
    }
}
