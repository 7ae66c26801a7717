//! Judges a run: what clients sent, what they were told, what the log and the tables hold. Knows nothing of
//! how any of it was produced, so that it cannot share a mistake with it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use uuid::Uuid;

/// A message as the log, a table or a client has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its sequence in the log.
    pub seq: u64,
    /// The room.
    pub room: Uuid,
    /// The message.
    pub message: Uuid,
    /// The command that led to it.
    pub command: Uuid,
    /// What it says.
    pub body: String,
}

/// A command that a client gave, once or several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub command: Uuid,
    /// Where.
    pub room: Uuid,
    /// What it said.
    pub body: String,
}

/// An answer that a client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acked {
    /// To which command.
    pub command: Uuid,
    /// The message it made.
    pub message: Uuid,
    /// Its sequence.
    pub seq: u64,
}

/// All of a run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What clients gave.
    pub sent: Vec<Sent>,
    /// What clients were told is done.
    pub acked: Vec<Acked>,
    /// The messages of the log, in its order.
    pub log: Vec<Entry>,
    /// The messages of the read model, by sequence.
    pub rows: Vec<Entry>,
    /// What each client showed its person, in the order in which it did. A client starts with the whole room.
    pub views: BTreeMap<String, Vec<Entry>>,
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// Acked, but not in the log as acked.
    AckedNotStored(Uuid),
    /// One command made two messages.
    StoredTwice(Uuid),
    /// In the log, but nobody sent it so.
    Invented(Uuid),
    /// The read model lacks it.
    RowMissing(Uuid),
    /// The read model has it otherwise than the log, or twice, or out of order.
    RowWrong(Uuid),
    /// A client never saw it.
    ViewMissing(String, Uuid),
    /// A client saw it twice.
    ViewTwice(String, Uuid),
    /// A client saw it in another order than the log has, or with another content.
    ViewWrong(String, Uuid),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl History {
    /// Every promise that was broken; nothing when all is well.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = BTreeSet::new();
        self.check_log(&mut found);
        self.check_acks(&mut found);
        self.check_rows(&mut found);
        for (client, view) in &self.views {
            self.check_view(client, view, &mut found);
        }
        found.into_iter().collect()
    }

    fn check_log(&self, found: &mut BTreeSet<Violation>) {
        let sent: HashMap<Uuid, &Sent> = self.sent.iter().map(|sent| (sent.command, sent)).collect();
        let (mut commands, mut messages, mut last) = (BTreeSet::new(), BTreeSet::new(), 0);
        for entry in &self.log {
            if !commands.insert(entry.command) || !messages.insert(entry.message) || entry.seq <= last {
                found.insert(Violation::StoredTwice(entry.message));
            }
            last = entry.seq;
            let as_sent = sent
                .get(&entry.command)
                .is_some_and(|sent| sent.room == entry.room && sent.body == entry.body);
            if !as_sent {
                found.insert(Violation::Invented(entry.message));
            }
        }
    }

    fn check_acks(&self, found: &mut BTreeSet<Violation>) {
        let log: HashMap<Uuid, &Entry> = self.log.iter().map(|entry| (entry.message, entry)).collect();
        for ack in &self.acked {
            let stored = log
                .get(&ack.message)
                .is_some_and(|entry| entry.seq == ack.seq && entry.command == ack.command);
            if !stored {
                found.insert(Violation::AckedNotStored(ack.message));
            }
        }
    }

    fn check_rows(&self, found: &mut BTreeSet<Violation>) {
        let mut rows = self.rows.iter();
        for entry in &self.log {
            match rows.next() {
                Some(row) if row == entry => {}
                Some(row) => {
                    found.insert(Violation::RowWrong(row.message));
                    return;
                }
                None => {
                    found.insert(Violation::RowMissing(entry.message));
                }
            }
        }
        found.extend(rows.map(|row| Violation::RowWrong(row.message)));
    }

    fn check_view(&self, client: &str, view: &[Entry], found: &mut BTreeSet<Violation>) {
        let named = |violation: fn(String, Uuid) -> Violation, message| violation(client.to_owned(), message);
        let mut seen = BTreeSet::new();
        found.extend(
            view.iter()
                .filter(|entry| !seen.insert(entry.message))
                .map(|entry| named(Violation::ViewTwice, entry.message)),
        );
        let rooms: BTreeSet<Uuid> = view.iter().map(|entry| entry.room).collect();
        for room in rooms {
            let expected: Vec<&Entry> = self.log.iter().filter(|entry| entry.room == room).collect();
            found.extend(
                expected
                    .iter()
                    .filter(|entry| !seen.contains(&entry.message))
                    .map(|entry| named(Violation::ViewMissing, entry.message)),
            );
            let known: BTreeSet<Uuid> = expected.iter().map(|entry| entry.message).collect();
            let mut of_room = view.iter().filter(|entry| entry.room == room).collect::<Vec<_>>();
            found.extend(
                of_room
                    .iter()
                    .filter(|entry| !known.contains(&entry.message))
                    .map(|entry| named(Violation::ViewWrong, entry.message)),
            );
            of_room.dedup();
            // With what is missing set aside, the rest must be the log's own order and content.
            let in_order = expected.iter().filter(|entry| seen.contains(&entry.message));
            let wrong = of_room
                .iter()
                .zip(in_order)
                .find(|(shown, stored)| shown != stored);
            found.extend(wrong.map(|(shown, _)| named(Violation::ViewWrong, shown.message)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn entry(number: u128) -> Entry {
        Entry {
            seq: u64::try_from(number).unwrap() * 3,
            room: id(1_000 + number % 2),
            message: id(number),
            command: id(100 + number),
            body: format!("message {number}"),
        }
    }

    fn good() -> History {
        let log: Vec<Entry> = (1..=8).map(entry).collect();
        History {
            sent: log
                .iter()
                .map(|entry| Sent {
                    command: entry.command,
                    room: entry.room,
                    body: entry.body.clone(),
                })
                .chain([Sent {
                    command: id(999),
                    room: id(1_000),
                    body: "never answered".into(),
                }])
                .collect(),
            acked: log
                .iter()
                .map(|entry| Acked {
                    command: entry.command,
                    message: entry.message,
                    seq: entry.seq,
                })
                .collect(),
            rows: log.clone(),
            views: [("ada".to_owned(), log.clone())].into(),
            log,
        }
    }

    #[test]
    fn a_faithful_run_has_no_violations() {
        assert_eq!(good().violations(), []);
    }

    #[test]
    fn an_ack_before_the_append_is_found() {
        let mut history = good();
        history.acked.push(Acked {
            command: id(999),
            message: id(50),
            seq: 90,
        });
        assert_eq!(history.violations(), [Violation::AckedNotStored(id(50))]);
    }

    #[test]
    fn an_ack_with_a_wrong_sequence_is_found() {
        let mut history = good();
        history.acked[2].seq += 1;
        assert_eq!(history.violations(), [Violation::AckedNotStored(id(3))]);
    }

    #[test]
    fn a_dropped_delivery_is_found() {
        let mut history = good();
        history.views.get_mut("ada").unwrap().remove(3);
        assert_eq!(
            history.violations(),
            [Violation::ViewMissing("ada".into(), id(4))]
        );
    }

    #[test]
    fn a_doubled_delivery_is_found() {
        let mut history = good();
        let view = history.views.get_mut("ada").unwrap();
        view.insert(4, view[3].clone());
        assert_eq!(history.violations(), [Violation::ViewTwice("ada".into(), id(4))]);
    }

    #[test]
    fn two_swapped_deliveries_are_found() {
        let mut history = good();
        history.views.get_mut("ada").unwrap().swap(2, 4);
        assert_eq!(history.violations(), [Violation::ViewWrong("ada".into(), id(5))]);
    }

    #[test]
    fn a_message_stored_twice_is_found() {
        let mut history = good();
        let twice = Entry {
            seq: 99,
            message: id(70),
            ..entry(8)
        };
        history.log.push(twice.clone());
        history.rows.push(twice.clone());
        history.views.get_mut("ada").unwrap().push(twice);
        assert_eq!(history.violations(), [Violation::StoredTwice(id(70))]);
    }

    #[test]
    fn a_lost_a_changed_and_an_invented_row_are_found() {
        let mut lost = good();
        lost.rows.pop();
        assert_eq!(lost.violations(), [Violation::RowMissing(id(8))]);
        let mut changed = good();
        changed.rows[1].body.push('!');
        assert_eq!(changed.violations(), [Violation::RowWrong(id(2))]);
        let mut invented = good();
        invented.rows.push(Entry { seq: 77, ..entry(9) });
        assert_eq!(invented.violations(), [Violation::RowWrong(id(9))]);
    }

    #[test]
    fn a_message_that_nobody_sent_is_found() {
        let mut history = good();
        history.sent.remove(0);
        assert_eq!(history.violations(), [Violation::Invented(id(1))]);
    }
}
