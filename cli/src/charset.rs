//! Which characters a terminal shows.
//!
//! All our words are ASCII, whatever the locale (`cli/tests/house` sees to it); only what is drawn has two forms, and
//! chooses here. So nothing is ever translated that others chose: names, and what a link stands for.

/// Which characters may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    /// Only ASCII.
    Ascii,
    /// Unicode, as the terminal's locale says.
    Unicode,
}

impl Charset {
    /// What the locale variables promise, the first of them that is set.
    pub(crate) fn of_locale() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        // Nothing set is the locale C, as for every other program.
        locale.map_or(Self::Ascii, |locale| Self::of(&locale.to_string_lossy()))
    }

    /// Of a locale such as `de_DE.UTF-8@euro`. One without a codeset promises nothing.
    fn of(locale: &str) -> Self {
        let codeset =
            locale.split('@').next().and_then(|name| name.split_once('.')).map_or("", |(_, set)| set);
        match codeset.to_ascii_lowercase().replace('-', "").as_str() {
            "utf8" => Self::Unicode,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_codeset_of_utf_8_promises_it() {
        for locale in ["C.UTF-8", "de_DE.utf8", "en_US.UTF-8@euro"] {
            assert_eq!(Charset::of(locale), Charset::Unicode, "{locale}");
        }
        for locale in ["C", "POSIX", "de_DE", "de_DE.ISO-8859-1", "ja_JP.eucJP", "a@utf8"] {
            assert_eq!(Charset::of(locale), Charset::Ascii, "{locale}");
        }
    }
}
