//! What the API writes is what it has always written: for every answer one value with everything in it and one with
//! nothing that may be absent, compared with the files in this directory, and read back.

#![allow(clippy::unwrap_used)]

mod compare;
mod names;
mod objects;
mod overlay;
mod services;
mod status;
mod words;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::str::FromStr;

use chordage_api::types::IdError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::compare::{golden, golden_dir};

/// Ids, which are made of one digit each.
fn id<T: FromStr<Err = IdError>>(digit: char) -> T {
    String::from(digit).repeat(64).parse().unwrap()
}

/// What was compared, and what is wrong.
#[derive(Default)]
struct Comparison {
    names: BTreeSet<String>,
    complaints: Vec<String>,
}

impl Comparison {
    /// Compares `value` with the file `name` in both directions.
    fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(&mut self, name: &str, value: &T) {
        self.names.insert(format!("{name}.json"));
        let outcome = golden(name, value).and_then(|text| match serde_json::from_str::<T>(&text) {
            Ok(read) if read == *value => Ok(()),
            Ok(read) => Err(format!("{name}.json is read as {read:?}")),
            Err(error) => Err(format!("{name}.json cannot be read: {error}")),
        });
        self.complaints.extend(outcome.err());
    }
}

#[test]
fn answers_are_written_and_read_as_they_always_were() {
    let mut comparison = Comparison::default();
    names::check(&mut comparison);
    objects::check(&mut comparison);
    overlay::check(&mut comparison);
    services::check(&mut comparison);
    status::check(&mut comparison);
    words::check(&mut comparison);
    let Comparison { names, mut complaints } = comparison;
    for entry in fs::read_dir(golden_dir()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") && !names.contains(&name) {
            complaints.push(format!("{name} is of no answer"));
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Reads `value` without each of `fields`: a daemon from before they were there does not send them.
fn assert_reads_without<T: DeserializeOwned>(value: &impl Serialize, fields: &[&str]) {
    let mut document = serde_json::to_value(value).unwrap();
    for field in fields {
        assert!(document.as_object_mut().unwrap().remove(*field).is_some(), "{field} is not there");
    }
    serde_json::from_value::<T>(document).unwrap();
}

/// Reads `value` with a field that this version does not know.
fn assert_reads_with_more<T: DeserializeOwned>(value: &impl Serialize) {
    let mut document = serde_json::to_value(value).unwrap();
    document["of_a_newer_version"] = Value::from(vec![1]);
    serde_json::from_value::<T>(document).unwrap();
}
