//! Which language a message is in, as far as search cares: by whose rules its words are cut to stems.

use whichlang::Lang;

/// The text search configuration in schema `veza` (`veza_0002_search.sql`) for a text. A wrong guess on a short
/// text does little harm: a word is looked for by the rules of every language, and meets itself in any.
pub(crate) fn configuration(text: &str) -> &'static str {
    match whichlang::detect_language(text) {
        Lang::Ara => "veza.arabic_words",
        Lang::Deu => "veza.german_words",
        Lang::Eng => "veza.english_words",
        Lang::Fra => "veza.french_words",
        Lang::Ita => "veza.italian_words",
        Lang::Nld => "veza.dutch_words",
        Lang::Por => "veza.portuguese_words",
        Lang::Rus => "veza.russian_words",
        Lang::Spa => "veza.spanish_words",
        Lang::Swe => "veza.swedish_words",
        Lang::Tur => "veza.turkish_words",
        Lang::Cmn | Lang::Hin | Lang::Jpn | Lang::Kor | Lang::Vie => "veza.any_words",
    }
}

#[cfg(test)]
mod tests {
    use super::configuration;

    #[test]
    fn languages_are_told_apart() {
        let told = |text, expected| assert_eq!(configuration(text), expected, "{text}");
        told(
            "the servers were restarted twice this morning",
            "veza.english_words",
        );
        told(
            "les serveurs ont été redémarrés deux fois ce matin",
            "veza.french_words",
        );
        told(
            "die Server wurden heute Morgen zweimal neu gestartet",
            "veza.german_words",
        );
        told("今朝サーバーが二回再起動されました", "veza.any_words");
    }
}
