//! Users and their passwords: a text file with a line for each, `NAME:HASH`.
//!
//! The hash is an Argon2 string as many programs make them (the PHC string format). Looking at one takes 64 MiB and a
//! good part of a second, so that a stolen file is hard to guess from. As clients say their password with every
//! request, one that was right is remembered, by a hash under a key that lives as long as the process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::user_name::can_be_user;

/// Longest file, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest password, bytes.
const PASSWORD_BYTES_MAX: usize = 1024;
/// Shortest password of a new line, characters.
const PASSWORD_CHARS_MIN: usize = 10;
/// Memory that one guess takes, KiB, and how often it goes through it: those of an exported key.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// What a line may ask for at most: the file is ours, and a slip in it must not take all memory.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 64;
/// How long a request waits for others whose password is being looked at, which is done one at a time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a file with users cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// It cannot be read.
    #[error("cannot read the users in {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not one.
    #[error("{}, line {line}: {problem}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: LineError,
    },
    /// It has no users.
    #[error("there are no users in {}", .0.display())]
    Empty(PathBuf),
}

/// Why there can be no such line in a file with users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// There is no colon.
    #[error("a line is NAME:HASH, as `chordage restic-user NAME` prints it")]
    Form,
    /// The name could not stand in a path.
    #[error(
        "the name of a user has 1 to 100 bytes, no colon and no slash, and is none of config, data, index, keys, locks and \
         snapshots"
    )]
    Name,
    /// It is not a hash of a password.
    #[error(
        "behind the colon is no Argon2 hash that begins with $argon2; `chordage restic-user NAME` makes one"
    )]
    Hash,
    /// It would take too much.
    #[error("this hash takes more than 1 GiB of memory or 64 passes to look at")]
    Effort,
    /// The name was there before.
    #[error("this user is in the file twice")]
    Twice,
    /// The password is too short or too long.
    #[error(
        "a password has at least {PASSWORD_CHARS_MIN} characters, and at most {PASSWORD_BYTES_MAX} bytes"
    )]
    Password,
    /// The system has no randomness or no memory.
    #[error("the system gives no randomness, or not enough memory")]
    System,
}

/// Whether somebody is who they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    Wrong,
    /// Too many are being looked at.
    Busy,
}

/// Users and the hashes of their passwords.
pub(crate) struct Users {
    hashes: BTreeMap<String, PasswordHash>,
    /// Who was found to be right, with a hash of the password. Never more than there are users.
    right: Mutex<BTreeMap<String, blake3::Hash>>,
    key: [u8; 32],
    /// One guess at a time: they take memory, and strangers decide how many there are.
    looking: Arc<Semaphore>,
}

impl Users {
    /// Reads a file of users.
    pub(crate) fn read(path: &Path) -> Result<Self, UsersError> {
        let failed = |source| UsersError::Read { path: path.to_owned(), source };
        let mut text = String::new();
        let file = File::open(path).map_err(failed)?;
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(failed(io::Error::other("it is longer than 1 MiB")));
        }
        let mut hashes = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |problem| UsersError::Line { path: path.to_owned(), line: number + 1, problem };
            let (name, hash) = read_line(line).map_err(wrong)?;
            if hashes.insert(name, hash).is_some() {
                return Err(wrong(LineError::Twice));
            }
        }
        if hashes.is_empty() {
            return Err(UsersError::Empty(path.to_owned()));
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|_| failed(io::Error::other("the system gives no randomness")))?;
        Ok(Users { hashes, right: Mutex::default(), key, looking: Arc::new(Semaphore::new(1)) })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.hashes.len() as u64
    }

    /// Whether this is the user's password. Nobody learns from the time it takes whether there is such a user.
    pub(crate) async fn check(&self, user: &str, password: &str) -> Verdict {
        if password.len() > PASSWORD_BYTES_MAX {
            return Verdict::Wrong;
        }
        let given = blake3::keyed_hash(&self.key, password.as_bytes());
        // Hashes are compared in a time that does not depend on them.
        if self.remembered().get(user) == Some(&given) {
            return Verdict::Right;
        }
        let known = self.hashes.get(user);
        // There is one: a file without users is refused.
        let Some(hash) = known.or_else(|| self.hashes.values().next()).cloned() else {
            return Verdict::Wrong;
        };
        let waiting = tokio::time::timeout(PATIENCE, Arc::clone(&self.looking).acquire_owned());
        let Ok(Ok(turn)) = waiting.await else { return Verdict::Busy };
        let password = password.as_bytes().to_vec();
        let looking = tokio::task::spawn_blocking(move || {
            let is_right = Argon2::default().verify_password(&password, &hash).is_ok();
            // Not before: whoever asked may be gone, and the memory is still taken.
            drop(turn);
            is_right
        });
        let is_right = looking.await.unwrap_or(false) && known.is_some();
        if !is_right {
            return Verdict::Wrong;
        }
        self.remembered().insert(user.to_owned(), given);
        Verdict::Right
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, blake3::Hash>> {
        // No code panics while it holds the lock.
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_line(line: &str) -> Result<(String, PasswordHash), LineError> {
    let (name, hash) = line.split_once(':').ok_or(LineError::Form)?;
    if !can_be_user(name) {
        return Err(LineError::Name);
    }
    let hash = PasswordHash::new(hash).map_err(|_| LineError::Hash)?;
    let params = Params::try_from(&hash).map_err(|_| LineError::Hash)?;
    if Algorithm::try_from(hash.algorithm.as_str()).is_err() || hash.hash.is_none() || hash.salt.is_none() {
        return Err(LineError::Hash);
    }
    if params.m_cost() > MEMORY_KIB_MAX || params.t_cost() > PASSES_MAX {
        return Err(LineError::Effort);
    }
    Ok((name.to_owned(), hash))
}

/// The line for a user with this password. Takes a good part of a second, and 64 MiB.
pub fn user_line(name: &str, password: &str) -> Result<String, LineError> {
    if !can_be_user(name) {
        return Err(LineError::Name);
    }
    if password.chars().count() < PASSWORD_CHARS_MIN || password.len() > PASSWORD_BYTES_MAX {
        return Err(LineError::Password);
    }
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| LineError::System)?;
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|_| LineError::System)?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash =
        argon.hash_password_with_salt(password.as_bytes(), &salt).map_err(|_| LineError::System)?;
    Ok(format!("{name}:{hash}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A line that takes little to look at.
    pub(crate) fn cheap_line(name: &str, password: &str) -> String {
        let params = Params::new(64, 1, 1, None).unwrap();
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash: PasswordHash = argon.hash_password_with_salt(password.as_bytes(), &[7; 16]).unwrap();
        format!("{name}:{hash}")
    }

    fn read(text: &str) -> Result<Users, UsersError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Users::read(file.path())
    }

    #[tokio::test]
    async fn only_the_right_password_of_the_right_user_is_right() {
        let text =
            format!("# ours\n\n{}\n{}\n", cheap_line("alice", "first"), cheap_line("b\u{f6}b.x@y", "second"));
        let users = read(&text).unwrap();
        assert_eq!(users.count(), 2);
        for _ in 0..2 {
            assert_eq!(users.check("alice", "first").await, Verdict::Right);
            assert_eq!(users.check("b\u{f6}b.x@y", "second").await, Verdict::Right);
            for (name, password) in [
                ("alice", "second"),
                ("alice", ""),
                ("carol", "first"),
                ("", ""),
                ("alice", &"x".repeat(2000)),
            ] {
                assert_eq!(users.check(name, password).await, Verdict::Wrong, "{name}");
            }
        }
        assert_eq!(users.remembered().len(), 2);
    }

    #[tokio::test]
    async fn a_line_that_was_made_here_is_read_here() {
        let line = user_line("alice", "a long password").unwrap();
        assert!(line.starts_with("alice:$argon2id$v=19$m=65536,t=3,p=1$"), "{line}");
        assert_eq!(read(&line).unwrap().check("alice", "a long password").await, Verdict::Right);
        assert_eq!(user_line("alice", "short"), Err(LineError::Password));
        assert_eq!(user_line("keys", "a long password"), Err(LineError::Name));
    }

    #[tokio::test]
    async fn a_line_of_another_program_is_read() {
        // printf %s 'correct horse' | argon2 saltsalt -id -m 12 -t 2 -p 1 -e
        let line =
            "carol:$argon2id$v=19$m=4096,t=2,p=1$c2FsdHNhbHQ$CKenyQBYugZw5wFrZTaehyF/jNk2bcSNQY7jAvjCc5k";
        let users = read(line).unwrap();
        assert_eq!(users.check("carol", "correct horse").await, Verdict::Right);
        assert_eq!(users.check("carol", "correct horses").await, Verdict::Wrong);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let good = cheap_line("alice", "first");
        let cases = [
            ("alice", LineError::Form),
            ("alice:secret", LineError::Hash),
            ("alice:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=", LineError::Hash),
            ("alice:$2y$05$abcdefghijklmnopqrstuu", LineError::Hash),
            ("alice:$argon2id$v=19$m=64,t=1,p=1", LineError::Hash),
            ("data:x", LineError::Name),
            ("a/b:x", LineError::Name),
            (":x", LineError::Name),
            (&good.replace("m=64,t=1", "m=2097152,t=1"), LineError::Effort),
            (&good.replace("m=64,t=1", "m=64,t=65"), LineError::Effort),
            (&good.replace("alice:", "bob:"), LineError::Twice),
        ];
        for (line, expected) in cases {
            let text = format!("{}\n{line}\n", good.replace("alice:", "bob:"));
            match read(&text) {
                Err(UsersError::Line { line: 2, problem, .. }) => assert_eq!(problem, expected, "{line}"),
                Err(other) => panic!("{line}: {other}"),
                Ok(_) => panic!("{line} was taken"),
            }
        }
        assert!(matches!(read("# nobody\n"), Err(UsersError::Empty(_))));
        assert!(matches!(Users::read(Path::new("/nowhere/users")), Err(UsersError::Read { .. })));
        assert!(matches!(read(&"#\n".repeat(1 << 20)), Err(UsersError::Read { .. })));
    }
}
