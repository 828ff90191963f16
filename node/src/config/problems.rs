//! What is wrong with a settings file, all of it: where, what, and what to write instead.

use std::fmt;
use std::ops::Range;

use serde::Serialize;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, ConfigError};

/// Names less alike than this are not taken for each other. Of 0 to 1; a letter too few in a name of six has 0.95.
const ALIKE: f64 = 0.8;
/// What is said where no setting has a similar name.
const LISTED: &str = "`chordage daemon --help` lists all settings";

/// One thing that is wrong with a settings file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingProblem {
    /// The line of the file, counted from 1; none where a rule is about what the file does not say.
    pub line: Option<usize>,
    /// The setting with its table, as in `repair.enabled`; none where the text is no TOML.
    pub setting: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl SettingProblem {
    /// The text is no TOML, or not what the settings look like.
    pub(super) fn syntax(text: &str, error: &toml::de::Error) -> Self {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        SettingProblem {
            line: error.span().map(|span| line_at(text, &span)),
            setting: None,
            message,
            remedy: None,
        }
    }
}

impl fmt::Display for SettingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.message)?;
        self.remedy.iter().try_for_each(|remedy| write!(f, "; {remedy}"))
    }
}

/// All of them as one line.
pub(super) fn in_a_row(problems: &[SettingProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// See [`Config::problems`].
pub(super) fn of(text: &str) -> Vec<SettingProblem> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let mut problems: Vec<SettingProblem> =
            errors.iter().map(|error| SettingProblem::syntax(text, error)).collect();
        problems.sort_by_key(|problem| problem.line);
        return problems;
    }
    let Ok(Value::Object(known)) = serde_json::to_value(Config::default()) else { return Vec::new() };
    let mut reader = Reader { text, known: &known, given: Vec::new(), problems: Vec::new() };
    reader.read(table.get_ref());
    let Reader { given, mut problems, .. } = reader;
    problems.extend(beyond_types(given));
    problems.sort_by_key(|problem| problem.line);
    problems
}

/// A setting that the file has, with a value of the right type.
struct Given {
    table: Option<String>,
    key: String,
    /// As it stands in the file.
    value: String,
    line: usize,
}

impl Given {
    fn name(&self) -> String {
        full(self.table.as_deref(), &self.key)
    }
}

struct Reader<'a> {
    text: &'a str,
    /// Every setting with its default, and every table.
    known: &'a Map<String, Value>,
    given: Vec<Given>,
    problems: Vec<SettingProblem>,
}

impl Reader<'_> {
    fn read(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            match (self.known.get(name), value.get_ref()) {
                (Some(Value::Object(settings)), DeValue::Table(inside)) => {
                    for (key, value) in inside {
                        match settings.get(key.get_ref().as_ref()) {
                            Some(default) => self.take(Some(name), key, value, default),
                            None => self.unknown(Some(name), key, false),
                        }
                    }
                }
                (Some(Value::Object(_)), _) => {
                    let message = format!("{name} is a table");
                    self.problem(
                        key,
                        name,
                        message,
                        Some(format!("write [{name}], and its settings below it")),
                    );
                }
                (Some(default), _) => self.take(None, key, value, default),
                (None, value) => self.unknown(None, key, value.is_table()),
            }
        }
    }

    fn problem(&mut self, key: &Spanned<impl Sized>, setting: &str, message: String, remedy: Option<String>) {
        let line = Some(line_at(self.text, &key.span()));
        self.problems.push(SettingProblem { line, setting: Some(setting.to_owned()), message, remedy });
    }

    /// A setting that there is. Its value is read alone, so that every wrong one is found.
    fn take(
        &mut self,
        table: Option<&str>,
        key: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
        default: &Value,
    ) {
        let name = key.get_ref().as_ref();
        let setting = full(table, name);
        if value.get_ref().is_table() {
            let message = format!("{setting} is a setting, and no table");
            return self.problem(key, &setting, message, Some(format!("write {name} = VALUE")));
        }
        let given = Given {
            table: table.map(str::to_owned),
            key: name.to_owned(),
            value: self.text.get(value.span()).unwrap_or_default().to_owned(),
            line: line_at(self.text, &key.span()),
        };
        let Err(error) = toml::from_str::<Config>(&written(std::slice::from_ref(&given))) else {
            return self.given.push(given);
        };
        let is_whole = value.get_ref().is_integer();
        let (message, remedy) = match default {
            Value::Bool(_) => (format!("{setting} is a yes or no"), Some("write true or false".to_owned())),
            Value::Number(_) if is_whole => (
                format!("{setting} cannot be {}", given.value),
                Some("the number is too small or too large".to_owned()),
            ),
            Value::Number(number) => {
                let unit = if name.ends_with("_bytes") { " of bytes" } else { "" };
                let remedy = format!("write a whole number{unit} such as {number}, without quotes");
                (format!("{setting} cannot be {}", given.value), Some(remedy))
            }
            _ => {
                let why = error.message().lines().collect::<Vec<_>>().join(", ");
                (format!("{setting} cannot be {}: {why}", given.value), None)
            }
        };
        self.problem(key, &setting, message, remedy);
    }

    fn unknown(&mut self, table: Option<&str>, key: &Spanned<impl AsRef<str>>, is_table: bool) {
        let name = key.get_ref().as_ref();
        let setting = full(table, name);
        let (message, remedy) = if is_table {
            let tables = self.known.iter().filter(|(_, value)| value.is_object());
            let meant = likest(name, tables.map(|(table, _)| (table.as_str(), table.as_str())));
            (format!("there is no table [{name}]"), meant.map(|table| format!("write [{table}]")))
        } else {
            (format!("there is no setting {setting}"), self.meant(table, name))
        };
        self.problem(key, &setting, message, Some(remedy.unwrap_or_else(|| LISTED.to_owned())));
    }

    /// What somebody may have meant who wrote this name in this table: it stands elsewhere, or is spelt otherwise.
    fn meant(&self, table: Option<&str>, name: &str) -> Option<String> {
        let all = || {
            self.known.iter().filter(|(key, _)| !key.starts_with("debug_")).flat_map(|(key, value)| {
                match value {
                    Value::Object(settings) => settings
                        .keys()
                        .map(|inner| (inner.as_str(), (Some(key.as_str()), inner.as_str())))
                        .collect(),
                    _ => vec![(key.as_str(), (None, key.as_str()))],
                }
            })
        };
        let elsewhere = |(there, key): (Option<&str>, &str)| match there {
            Some(there) => format!("write {key} below [{there}]"),
            None => format!("write {key} above the first table"),
        };
        let exactly: Vec<_> = all().filter(|(key, _)| *key == name).collect();
        if let [(_, only)] = exactly[..] {
            return Some(elsewhere(only));
        }
        let here = likest(name, all().filter(|(_, (there, _))| *there == table));
        if let Some((_, key)) = here {
            return Some(format!("write {key}"));
        }
        likest(name, all()).map(elsewhere)
    }
}

/// What goes with the name most like this one, if it is like it at all.
fn likest<'a, T>(name: &str, names: impl Iterator<Item = (&'a str, T)>) -> Option<T> {
    let scored = names.map(|(other, value)| (strsim::jaro_winkler(name, other), value));
    let best = scored.filter(|(score, _)| *score >= ALIKE).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map(|(_, value)| value)
}

/// What types cannot say: each rule that is broken is found once, because the setting that breaks it is then left out.
fn beyond_types(mut given: Vec<Given>) -> Vec<SettingProblem> {
    let mut problems = Vec::new();
    while let Some(error) =
        toml::from_str::<Config>(&written(&given)).ok().and_then(|config| config.check().err())
    {
        let setting = error.setting().unwrap_or_default().to_owned();
        let at = given.iter().position(|given| given.name() == setting);
        let line = at.map(|at| given.remove(at).line);
        let (message, remedy) = match &error {
            ConfigError::Value { value, rule, .. } => {
                (format!("{setting} cannot be {value}"), Some(format!("write {rule}")))
            }
            other => (other.to_string(), None),
        };
        problems.push(SettingProblem { line, setting: Some(setting), message, remedy });
        if at.is_none() {
            break;
        }
    }
    problems
}

/// A settings file with these alone.
fn written(given: &[Given]) -> String {
    let (plain, inside): (Vec<_>, Vec<_>) = given.iter().partition(|given| given.table.is_none());
    let mut text = String::new();
    for given in plain.into_iter().chain(inside) {
        // A dotted name needs no header, and may come in any order.
        text.push_str(&format!("{} = {}\n", given.name(), given.value));
    }
    text
}

fn full(table: Option<&str>, key: &str) -> String {
    table.map_or_else(|| key.to_owned(), |table| format!("{table}.{key}"))
}

fn line_at(text: &str, span: &Range<usize>) -> usize {
    let before = text.get(..span.start.min(text.len())).unwrap_or(text);
    before.bytes().filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The problems of a text, each as it is said.
    fn said(text: &str) -> Vec<String> {
        of(text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_that_is_right_has_no_problems() {
        let all = toml::to_string(&Config::default()).expect("serialisable");
        for text in
            ["", "quota_bytes = 5 # bytes\n[repair]\nenabled = false\n", "overlay.role = \"client\"", &all]
        {
            assert_eq!(said(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn whoever_writes_a_name_wrong_is_told_the_right_one() {
        for (text, told) in [
            ("quota = 5", "line 1: there is no setting quota; write quota_bytes"),
            ("\nquotabytes = 5", "line 2: there is no setting quotabytes; write quota_bytes"),
            ("[repair]\nenable = true", "line 2: there is no setting repair.enable; write enabled"),
            ("role = \"client\"", "line 1: there is no setting role; write role below [overlay]"),
            ("[lan]\nzone = \"a\"", "line 2: there is no setting lan.zone; write zone above the first table"),
            ("[repairs]\nenabled = true", "line 1: there is no table [repairs]; write [repair]"),
            ("blah = 1", "line 1: there is no setting blah; `chordage daemon --help` lists all settings"),
            ("restic = true", "line 1: restic is a table; write [restic], and its settings below it"),
        ] {
            assert_eq!(said(text), [told], "{text}");
        }
    }

    #[test]
    fn every_wrong_value_is_found_with_its_line() {
        let text = "quota_bytes = \"100G\"\nruntime_threads = 0\n\n[lan]\nenabled = 1\n[connections]\nmax = 7\nper_ip_max = -1\n\
                    [overlay]\nrole = \"server\"\n";
        let said = said(text);
        let begins = [
            "line 1: quota_bytes cannot be \"100G\"; write a whole number of bytes such as 107374182400",
            "line 2: runtime_threads cannot be 0; write 1 to 64",
            "line 5: lan.enabled is a yes or no; write true or false",
            "line 7: connections.max cannot be 7; write 48 to 65536",
            "line 8: connections.per_ip_max cannot be -1; the number is too small",
            "line 10: overlay.role cannot be \"server\": unknown variant",
        ];
        assert_eq!(said.len(), begins.len(), "{said:#?}");
        for (said, begin) in said.iter().zip(begins) {
            assert!(said.starts_with(begin), "{said}");
        }
    }

    #[test]
    fn text_that_is_no_toml_is_shown_by_its_lines() {
        let said = said("quota_bytes = 5\nquota_bytes = 6\nzone = [\n");
        assert!(said.len() == 2 && said[0].starts_with("line 2: duplicate key"), "{said:?}");
    }
}
