//! What such a mail says, in the language of who reads it. Pure.

use veza_readmodel::Language;

use crate::decide::Still;
use crate::mail::Words;
use crate::who::Why;

/// What somebody has missed.
pub(super) struct Digest<'a> {
    pub(super) left: &'a [Still],
    /// Whether there was more before that.
    pub(super) older: bool,
    /// Where it is read.
    pub(super) at: &'a str,
    /// Where one click ends these mails.
    pub(super) stop: &'a str,
    pub(super) include_text: bool,
}

/// The sentences that are the same in every mail.
struct Sentences {
    tag: &'static str,
    somebody: &'static str,
    older: &'static str,
    read: &'static str,
    stop: &'static str,
}

const ENGLISH: Sentences = Sentences {
    tag: "en",
    somebody: "Somebody",
    older: "There were older ones as well.",
    read: "Read them in Veza",
    stop: "No more mail about messages",
};

const FRENCH: Sentences = Sentences {
    tag: "fr",
    somebody: "Quelqu’un",
    older: "Il y en avait aussi de plus anciens.",
    read: "Lire dans Veza",
    stop: "Ne plus recevoir de courriels sur les messages",
};

impl Digest<'_> {
    pub(super) fn words(&self, language: Language) -> Words {
        let sentences = match language {
            Language::En => ENGLISH,
            Language::Fr => FRENCH,
        };
        let mut words = Words::in_language(sentences.tag, &subject(language, self.left.len()));
        for message in self.left {
            let who = message.author.as_deref().unwrap_or(sentences.somebody);
            let head = head(language, who, message.why, message.room.as_deref());
            let text = message.text.as_deref().filter(|_| self.include_text);
            words = words.quote(&head, text);
        }
        if self.older {
            words = words.paragraph(sentences.older);
        }
        words
            .link(sentences.read, self.at)
            .link(sentences.stop, self.stop)
    }
}

fn subject(language: Language, count: usize) -> String {
    match (language, count) {
        (Language::En, 1) => "You have missed a message".to_owned(),
        (Language::En, count) => format!("You have missed {count} messages"),
        (Language::Fr, 1) => "Vous avez manqué un message".to_owned(),
        (Language::Fr, count) => format!("Vous avez manqué {count} messages"),
    }
}

/// Who does what, and where, if the room has a name.
fn head(language: Language, who: &str, why: Why, room: Option<&str>) -> String {
    let what = match (language, why, room) {
        (Language::En, Why::Mention, _) => "speaks of you",
        (Language::En, Why::Reply, _) => "answers you",
        (Language::En, Why::Direct | Why::All, Some(_)) => "writes",
        (Language::En, Why::Direct | Why::All, None) => "writes to you",
        (Language::Fr, Why::Mention, _) => "parle de vous",
        (Language::Fr, Why::Reply, _) => "vous répond",
        (Language::Fr, Why::Direct | Why::All, Some(_)) => "écrit",
        (Language::Fr, Why::Direct | Why::All, None) => "vous écrit",
    };
    match (language, room) {
        (Language::En, Some(room)) => format!("{who} {what} in {room}"),
        (Language::Fr, Some(room)) => format!("{who} {what} dans {room}"),
        (Language::En | Language::Fr, None) => format!("{who} {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(why: Why, room: Option<&str>) -> Still {
        Still {
            why,
            author: Some("Ada".into()),
            room: room.map(str::to_owned),
            text: Some("the secret".into()),
        }
    }

    fn digest(left: &[Still], include_text: bool) -> Digest<'_> {
        Digest {
            left,
            older: left.len() > 2,
            at: "https://chat.example.org",
            stop: "https://chat.example.org/unsubscribe?t=1",
            include_text,
        }
    }

    #[test]
    fn a_mail_names_who_wrote_where_and_shows_texts_only_if_it_may() {
        let left = [
            message(Why::Mention, Some("talk")),
            message(Why::Direct, None),
            message(Why::Reply, None),
        ];
        let told = digest(&left, true).words(Language::En);
        assert_eq!(told.subject, "You have missed 3 messages");
        assert!(told.text.contains("Ada speaks of you in talk\n> the secret\n"));
        assert!(told.text.contains("Ada writes to you\n"));
        assert!(told.text.contains("Ada answers you\n"));
        assert!(told.text.contains("There were older ones as well."));
        assert!(told.text.contains("https://chat.example.org/unsubscribe?t=1"));
        assert!(told.html.contains("lang=\"en\""));
        let silent = digest(&left[..1], false).words(Language::En);
        assert_eq!(silent.subject, "You have missed a message");
        assert!(!silent.text.contains("secret") && !silent.html.contains("secret"));
        assert!(!silent.text.contains("older"));
    }

    #[test]
    fn it_is_written_in_the_language_of_who_reads_it() {
        let left = [message(Why::Reply, Some("talk")), message(Why::Direct, None)];
        let told = digest(&left, true).words(Language::Fr);
        assert_eq!(told.subject, "Vous avez manqué 2 messages");
        assert!(told.text.contains("Ada vous répond dans talk\n"));
        assert!(told.text.contains("Ada vous écrit\n"));
        assert!(told.html.contains("lang=\"fr\""));
    }
}
