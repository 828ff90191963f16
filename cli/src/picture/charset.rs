//! Which characters a terminal shows.

/// Which characters may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    /// Only ASCII.
    Ascii,
    /// Unicode, as the terminal's locale says.
    Unicode,
}

impl Charset {
    /// What the locale variables promise.
    pub(crate) fn of_locale() -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        match locale {
            Some(locale) if locale.to_ascii_lowercase().replace('-', "").contains("utf8") => Self::Unicode,
            _ => Self::Ascii,
        }
    }

    /// The one or the other character.
    pub(crate) fn pick(self, ascii: char, unicode: char) -> char {
        match self {
            Self::Ascii => ascii,
            Self::Unicode => unicode,
        }
    }

    /// The small dot of which circles are made.
    pub(crate) fn dot(self) -> char {
        self.pick('.', '\u{b7}')
    }
}
