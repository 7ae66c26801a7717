//! What letters say, in the language of who reads them. Pure.

use veza_events::Timestamp;
use veza_readmodel::Language;

use super::Letter;
use crate::mail::Words;

/// `at` is where this installation is; `link` is what the letter's link carries, if it has one.
pub(super) fn words(language: Language, letter: &Letter, at: &str, link: &str) -> Words {
    match language {
        Language::En => english(letter, at, link),
        Language::Fr => french(letter, at, link),
    }
}

fn english(letter: &Letter, at: &str, link: &str) -> Words {
    let begin = |subject| Words::in_language("en", subject);
    match letter {
        Letter::Confirm(_, _, until) => begin("Confirm your e-mail address")
            .paragraph(&format!("This address was given for an account at {at}."))
            .link(
                "Confirm that you get mail here",
                &format!("{at}/confirm-email#{link}"),
            )
            .paragraph(&format!("The link is good until {}.", shown(*until)))
            .paragraph("If this was not you, you need not do anything."),
        Letter::Reset(_, _, until) => begin("Set another password")
            .paragraph(&format!(
                "Somebody who cannot sign in to your account at {at} has asked for this mail."
            ))
            .link("Set another password", &format!("{at}/set-password#{link}"))
            .paragraph(&format!(
                "The link is good until {}, and once. Your devices are signed out by it.",
                shown(*until)
            ))
            .paragraph("If this was not you, you need not do anything: nothing has changed."),
        Letter::Moved(_) => begin("Your e-mail address was changed")
            .paragraph(&format!(
                "Mail for your account at {at} goes to another address from now on."
            ))
            .paragraph(
                "If this was not you, somebody else is signed in to your account: turn to who runs it.",
            ),
        Letter::PasswordChanged(_) => begin("Your password was changed")
            .paragraph(&format!("Your account at {at} has another password now."))
            .link(
                "If this was not you, set another one",
                &format!("{at}/set-password"),
            ),
    }
}

fn french(letter: &Letter, at: &str, link: &str) -> Words {
    let begin = |subject| Words::in_language("fr", subject);
    match letter {
        Letter::Confirm(_, _, until) => begin("Confirmez votre adresse électronique")
            .paragraph(&format!("Cette adresse a été donnée pour un compte sur {at}."))
            .link(
                "Confirmer que vous recevez des courriels ici",
                &format!("{at}/confirm-email#{link}"),
            )
            .paragraph(&format!("Le lien est valable jusqu’au {}.", shown(*until)))
            .paragraph("Si ce n’était pas vous, vous n’avez rien à faire."),
        Letter::Reset(_, _, until) => begin("Choisissez un autre mot de passe")
            .paragraph(&format!(
                "Quelqu’un qui ne peut pas se connecter à votre compte sur {at} a demandé ce courriel."
            ))
            .link("Choisir un autre mot de passe", &format!("{at}/set-password#{link}"))
            .paragraph(&format!(
                "Le lien est valable jusqu’au {}, et une seule fois. Il déconnecte vos appareils.",
                shown(*until)
            ))
            .paragraph("Si ce n’était pas vous, vous n’avez rien à faire : rien n’a changé."),
        Letter::Moved(_) => begin("Votre adresse électronique a changé")
            .paragraph(&format!(
                "Les courriels pour votre compte sur {at} vont désormais à une autre adresse."
            ))
            .paragraph(
                "Si ce n’était pas vous, quelqu’un d’autre est connecté à votre compte : adressez-vous à qui le gère.",
            ),
        Letter::PasswordChanged(_) => begin("Votre mot de passe a changé")
            .paragraph(&format!("Votre compte sur {at} a maintenant un autre mot de passe."))
            .link(
                "Si ce n’était pas vous, choisissez-en un autre",
                &format!("{at}/set-password"),
            ),
    }
}

/// To the minute, for people.
fn shown(until: Timestamp) -> String {
    let text = until.to_string();
    let minute = text.get(..16).unwrap_or(&text);
    format!("{} UTC", minute.replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_is_there_in_every_language_with_its_link() {
        let until: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let to = || "ada@example.org".to_owned();
        let letters = [
            (Letter::Confirm(to(), 0, until), "/confirm-email#abc"),
            (Letter::Reset(to(), 0, until), "/set-password#abc"),
            (Letter::Moved(to()), ""),
            (Letter::PasswordChanged(to()), "/set-password"),
        ];
        for (letter, page) in &letters {
            let told = |language| words(language, letter, "https://chat.example.org", "abc");
            let (english, french) = (told(Language::En), told(Language::Fr));
            assert_ne!(english.subject, french.subject);
            assert!(english.html.contains("lang=\"en\"") && french.html.contains("lang=\"fr\""));
            for words in [english, french] {
                let link = format!("https://chat.example.org{page}");
                assert!(
                    words.text.contains(&link) && words.html.contains(&link),
                    "{}",
                    words.text
                );
                let dated = matches!(letter, Letter::Confirm(..) | Letter::Reset(..));
                assert_eq!(words.text.contains("2026-01-02 03:04 UTC"), dated);
            }
        }
    }
}
