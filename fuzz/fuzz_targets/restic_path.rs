#![no_main]
// The gateway's own file: it is private to its crate, and linking all of a server would make this slow.
#![allow(dead_code, unreachable_pub)]

use chordage_api::volume::PETNAME_MAX;
use libfuzzer_sys::fuzz_target;

use crate::path::{Place, RepositoryName, parse};

#[path = "../../node/gateway/src/restic/path.rs"]
mod path;
#[path = "../../node/gateway/src/front/user_name.rs"]
mod user_name;

mod front {
    pub(crate) use crate::user_name::can_be_user;
}

/// A path for what was found, with every byte of a name hidden.
fn written(name: &RepositoryName, place: Place) -> String {
    let name = name.to_string();
    let hide = |part: &str| part.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let mut path: String =
        name.split_inclusive('/').map(|part| hide(part.trim_end_matches('/')) + "/").collect();
    match place {
        Place::Whole => {}
        Place::Config => path.push_str("config"),
        Place::All(kind) => path.push_str(&format!("{}/", kind.word())),
        Place::File(kind, id) => path.push_str(&format!("{}/{id}", kind.word())),
    }
    path
}

// What the path of a request names: its names lead nowhere else, whichever way they are written, and no two
// repositories share a volume.
fuzz_target!(|text: &str| {
    if let Some(name) = RepositoryName::of_petname(text) {
        assert_eq!(name.petname().as_deref(), Some(text));
    }
    let Some((name, place)) = parse(text) else { return };
    let shown = name.to_string();
    assert!(shown.split('/').count() <= 4 && !shown.chars().any(|shown| shown.is_control() || shown == '\\'));
    assert!(shown.split('/').all(|part| part != "." && part != ".."));
    assert_eq!(parse(&written(&name, place)), Some((name.clone(), place)));
    if let Some(petname) = name.petname() {
        assert!(petname.len() <= PETNAME_MAX);
        assert!(
            petname
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte))
        );
        assert_eq!(RepositoryName::of_petname(&petname), Some(name));
    }
    if let Some(key) = place.key() {
        assert!(key.starts_with("restic/") && key.len() < 100 && !key.contains(".."));
    }
});
