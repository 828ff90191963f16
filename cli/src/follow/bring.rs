//! Brings a directory to a version.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chordage_api::Link;
use chordage_api::client::Client;
use chordage_api::types::{Resolved, TargetKind};
use jiff::Timestamp;

use super::events::{Event, Events, PathFields};
use super::fetch::{Fetch, Missing};
use super::home::Home;
use super::listing::{Kind, Listing};
use super::local::{Local, Place, look};
use super::plan::{Plan, Step, plan};
use super::record::{FileRecord, Metadata, Record, Stamp};
use super::stage::{Stage, key, room};
use super::state::{State, Version};
use super::stop::{Stop, interrupted};
use super::switch::{Done, Switch};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::human;
use crate::link;
use crate::name::quoted;
use crate::tree::dirs::Dirs;

/// What was brought, by its path.
type Records = BTreeMap<Vec<u8>, Record>;

/// How often it is looked again what lies there, before whoever changes it all the time is waited for.
const ROUNDS_MAX: usize = 5;

/// What the user wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Whether what is not in a version any more is removed.
    pub(crate) delete: bool,
    /// Whether nothing is done.
    pub(crate) dry_run: bool,
}

/// How it went.
#[derive(Debug)]
pub(crate) enum Brought {
    /// The directory is at the version, but for so many changes here that were found.
    Current {
        /// How many.
        conflicts: u64,
    },
    /// Not all of the version can be had now; the directory is as before.
    Waiting(Vec<Missing>),
}

/// Brings versions of one name into one directory.
pub(crate) struct Follower {
    home: Home,
    stage: Stage,
    options: Options,
    /// What a file without a name is called.
    bare: Vec<u8>,
    /// The version of which it was said that it is there.
    told: Option<Version>,
    /// To whom it is said what happens.
    pub(crate) events: Events,
}

impl Follower {
    /// Of a directory that was opened.
    pub(crate) fn new(home: Home, options: Options, events: Events) -> Self {
        let bare = bare_name(&home.state.name);
        Follower { stage: Stage::new(home.own()), home, options, bare, told: None, events }
    }

    /// The name that is followed.
    pub(crate) fn name(&self) -> &str {
        &self.home.state.name
    }

    /// The number of the version that the directory is at; 0 before the first.
    pub(crate) fn seq(&self) -> u64 {
        self.home.state.version.as_ref().map_or(0, |version| version.seq)
    }

    /// What is true now, for an error.
    pub(crate) fn describe(&self) -> String {
        let dir = quoted(self.home.dir());
        match self.seq() {
            0 => format!(
                "{dir} has no version of {} yet; what has come is kept for the next time",
                self.name()
            ),
            seq => {
                format!("{dir} is at version {seq} of {}; the same command goes on from there", self.name())
            }
        }
    }

    /// Says what is waited for.
    pub(crate) fn waits(
        &mut self,
        path: Option<&[u8]>,
        error: &CliError,
        again: Duration,
    ) -> Result<(), CliError> {
        let seq = self.seq();
        let nobody = path.is_none() && ["no_such_name", "no_such_path"].contains(&&*error.code);
        let why = match nobody {
            true => format!("nobody publishes {} now: {}", self.name(), error.message),
            false => error.message.clone(),
        };
        self.events.say(&Event::Waiting {
            path: path.map(PathFields::of),
            code: error.code.clone(),
            why,
            seq,
            again_seconds: again.as_secs(),
        })
    }

    /// Brings the directory to what was found.
    pub(crate) async fn bring(
        &mut self,
        client: &Client,
        found: &Resolved,
        stop: &mut Stop,
    ) -> Result<Brought, CliError> {
        let link = target(found)?;
        let text = link.to_string();
        let listing = tokio::select! {
            listing = Listing::fetch(client, &text, &self.bare) => Arc::new(listing?),
            error = stop.wait() => return Err(error),
        };
        let (files, bytes) = listing.files();
        let address = link.to_verify().to_string();
        let version = Version { seq: found.seq, address, files, bytes };
        for _ in 0..ROUNDS_MAX {
            let (plan, known) = tokio::select! {
                planned = self.plan(&listing) => planned?,
                error = stop.wait() => return Err(error),
            };
            // Once, and not at every attempt.
            if self.told.as_ref() != Some(&version) && (plan.changes() || self.options.dry_run) {
                self.tell_version(&version, &listing, &plan)?;
                self.told = Some(version.clone());
            }
            if self.options.dry_run {
                return self.tell_plan(&listing, &plan);
            }
            // It removes what is not wanted, and must have ended when something else is fetched.
            tokio::select! {
                looked = self.look_at_stage(&listing, &plan) => looked?,
                () = stop.interrupt.wait() => return Err(interrupted()),
            }
            let has = |at: &usize| self.stage.hash(&key(&listing.entries[*at])).is_some();
            let wanted: Vec<usize> = plan.fetch.iter().copied().filter(|at| !has(at)).collect();
            if wanted.is_empty() {
                return self.switch(&listing, plan, known, version).await;
            }
            self.check_room(&listing, &wanted)?;
            let (stage, events) = (&mut self.stage, &mut self.events);
            let mut fetch = Fetch { client, link: &text, listing: &listing, stop, events };
            let missing = fetch.run(&wanted, stage).await?;
            if !missing.is_empty() {
                return Ok(Brought::Waiting(missing));
            }
            // That took a while: look again what lies there.
        }
        Err(CliError::new(
            ExitStatus::LocalFile,
            "changing",
            format!("what lies in {} changes all the time", quoted(self.home.dir())),
        )
        .hint("end the program that writes there"))
    }

    /// Looks what lies there, and what has to be done; also what of it was brought.
    async fn plan(&self, listing: &Arc<Listing>) -> Result<(Plan, Records), CliError> {
        let dir = self.home.dir().to_owned();
        let (known, begun) = (self.home.state.records.clone(), self.home.begun.clone());
        let (listing, delete) = (listing.clone(), self.options.delete);
        let dry_run = self.options.dry_run;
        let looking = tokio::task::spawn_blocking(move || {
            let paths: BTreeSet<&[u8]> = known
                .keys()
                .chain(begun.keys())
                .chain(listing.entries.iter().map(|entry| &entry.path))
                .map(Vec::as_slice)
                .collect();
            let local = match Dirs::below(&dir, true) {
                Ok(mut tree) => look(&mut tree, &[&begun, &known], paths.into_iter())?,
                Err(rustix::io::Errno::NOENT) if dry_run => BTreeMap::new(),
                Err(error) => return Err((Vec::new(), error.into())),
            };
            let known = merged(known, begun, &local);
            Ok((plan(&known, &listing, &local, delete), known))
        });
        let looked = looking.await.map_err(|error| CliError::new(ExitStatus::Internal, "internal", error))?;
        looked.map_err(|(path, error): (Vec<u8>, io::Error)| {
            CliError::file("look at", &self.home.dir().join(os(&path)), &error).state(self.describe())
        })
    }

    /// Looks what of it has come already. What an earlier process left is read, which may take a while.
    async fn look_at_stage(&mut self, listing: &Arc<Listing>, plan: &Plan) -> Result<(), CliError> {
        let (mut stage, listing, wanted) = (self.stage.clone(), listing.clone(), plan.fetch.clone());
        let looking = tokio::task::spawn_blocking(move || stage.look(&listing, &wanted).map(|()| stage));
        let looked = looking.await.map_err(|error| CliError::new(ExitStatus::Internal, "internal", error))?;
        self.stage = looked.map_err(|error| self.failed("use", &error))?;
        Ok(())
    }

    fn check_room(&self, listing: &Listing, wanted: &[usize]) -> Result<(), CliError> {
        let sizes = wanted.iter().map(|at| match listing.entries[*at].kind {
            Kind::File { size, .. } => size,
            Kind::Dir | Kind::Symlink(_) => 0,
        });
        let needed = sizes.fold(0u64, u64::saturating_add);
        // What has come of a large file already is counted too, but a disk as full as that is full.
        match room(self.home.dir()) {
            Some(free) if free < needed => {
                let message = format!(
                    "{} has {} of room, and {} are to come",
                    quoted(self.home.dir()),
                    human::bytes(free),
                    human::bytes(needed)
                );
                Err(CliError::new(ExitStatus::LocalFile, "disk_full", message)
                    .state(self.describe())
                    .hint("free some space; a version is fetched whole before the one before it goes"))
            }
            _ => Ok(()),
        }
    }

    /// Does it, and writes down what is there now.
    async fn switch(
        &mut self,
        listing: &Arc<Listing>,
        plan: Plan,
        known: Records,
        version: Version,
    ) -> Result<Brought, CliError> {
        let name = self.home.state.name.clone();
        let done = if plan.changes() {
            // Also what a switch brought that was cut off: what is written next takes the place of what was begun then.
            self.home.state.records = known;
            self.home.save().map_err(|error| self.failed("write into", &error))?;
            let next =
                State { name: name.clone(), version: None, records: expected(&plan, listing, &self.stage) };
            self.home.begin(next).map_err(|error| self.failed("write into", &error))?;
            let (done, outcome) = self.run_switch(listing.clone(), plan).await?;
            self.tell_done(&done)?;
            outcome?;
            done
        } else {
            let mut done = Done { records: plan.kept, ..Done::default() };
            for step in plan.steps {
                if let Step::Left(path, why) = step {
                    done.conflicts.push(super::switch::Conflict { path, why, kept_as: None });
                }
            }
            self.tell_done(&done)?;
            done
        };
        let event = Event::Current {
            name: name.clone(),
            seq: version.seq,
            files: version.files,
            bytes: version.bytes,
            fetched: self.events.take_fetched(),
            removed: done.removed.len() as u64,
            conflicts: done.conflicts.len() as u64,
        };
        let conflicts = done.conflicts.len() as u64;
        let state = State { name, version: Some(version), records: done.records };
        self.home.reached(state).map_err(|error| self.failed("write into", &error))?;
        self.told = None;
        self.stage.clean(|_| false).map_err(|error| self.failed("use", &error))?;
        self.events.say(&event)?;
        Ok(Brought::Current { conflicts })
    }

    async fn run_switch(
        &self,
        listing: Arc<Listing>,
        plan: Plan,
    ) -> Result<(Done, Result<(), CliError>), CliError> {
        let (dir, own, stage) = (self.home.dir().to_owned(), self.home.own(), self.stage.clone());
        let mark = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        // Nothing interrupts it: it is short, and what it has done has to be told.
        let switching = tokio::task::spawn_blocking(move || {
            let synced = stage.sync();
            let mut switch = match Switch::new(&dir, &own, &listing, &stage, mark) {
                Ok(switch) => switch,
                Err(error) => return (Done::default(), Err(error)),
            };
            let outcome = match synced {
                Ok(()) => switch.run(&plan),
                Err(error) => Err(super::switch::SwitchError { path: Vec::new(), error }),
            };
            // So that the state, which is written next, never says more than what is there.
            let _ = stage.sync();
            (switch.done, outcome)
        });
        let (done, outcome) =
            switching.await.map_err(|error| CliError::new(ExitStatus::Internal, "internal", error))?;
        let outcome = outcome.map_err(|error| {
            let path = self.home.dir().join(os(&error.path));
            let told = CliError::file("switch", &path, &error.error);
            told.state(format!(
                "{} is between two versions, each file of it whole; the next attempt goes on",
                quoted(self.home.dir())
            ))
        });
        Ok((done, outcome))
    }

    fn failed(&self, doing: &str, error: &io::Error) -> CliError {
        CliError::file(doing, &self.home.own(), error).state(self.describe())
    }

    fn tell_version(&mut self, version: &Version, listing: &Listing, plan: &Plan) -> Result<(), CliError> {
        let sizes = plan.fetch.iter().map(|at| match listing.entries[*at].kind {
            Kind::File { size, .. } => size,
            Kind::Dir | Kind::Symlink(_) => 0,
        });
        let event = Event::Version {
            name: self.home.state.name.clone(),
            seq: version.seq,
            files: version.files,
            bytes: version.bytes,
            fetch_files: plan.fetch.len() as u64,
            fetch_bytes: sizes.fold(0, u64::saturating_add),
            remove: plan.steps.iter().filter(|step| matches!(step, Step::Remove(..))).count() as u64,
            dry_run: self.options.dry_run,
        };
        self.events.say(&event)
    }

    fn tell_done(&mut self, done: &Done) -> Result<(), CliError> {
        for path in &done.removed {
            self.events.say(&Event::Removed { path: PathFields::of(path) })?;
        }
        for conflict in &done.conflicts {
            let kept_as = conflict.kept_as.as_deref().map(PathFields::of);
            let path = PathFields::of(&conflict.path);
            self.events.say(&Event::Conflict { path, why: conflict.why, kept_as })?;
        }
        Ok(())
    }

    fn tell_plan(&mut self, listing: &Listing, plan: &Plan) -> Result<Brought, CliError> {
        let mut conflicts = 0;
        for step in &plan.steps {
            let event = match step {
                Step::MakeDir(at, over, why) | Step::Place(at, over, why) | Step::Link(at, over, why) => {
                    let entry = &listing.entries[*at];
                    if *over == super::plan::Over::Other {
                        conflicts += 1;
                        let path = PathFields::of(&entry.path);
                        self.events.say(&Event::Conflict { path, why: *why, kept_as: None })?;
                    }
                    let Kind::File { size, .. } = entry.kind else { continue };
                    Event::Fetched { path: PathFields::of(&entry.path), bytes: size }
                }
                Step::Remove(path, _) => Event::Removed { path: PathFields::of(path) },
                Step::Left(path, why) => {
                    conflicts += 1;
                    Event::Conflict { path: PathFields::of(path), why: *why, kept_as: None }
                }
                Step::RemoveDir(_) | Step::Touch(..) => continue,
            };
            self.events.say(&event)?;
        }
        Ok(Brought::Current { conflicts })
    }
}

/// What was brought: as it lies there, of what was begun and of the last version.
pub(super) fn merged(mut known: Records, begun: Records, local: &BTreeMap<Vec<u8>, Local>) -> Records {
    for (path, record) in begun {
        // Of what was begun, only what has come.
        if record == Record::Dir && local.get(&path).is_some_and(|local| local.place == Place::Dir) {
            known.insert(path, record);
        }
    }
    for (path, local) in local {
        if let Place::Brought(record) = &local.place {
            known.insert(path.clone(), record.clone());
        }
    }
    known
}

/// What will have been brought when the plan is done.
pub(super) fn expected(plan: &Plan, listing: &Listing, stage: &Stage) -> Records {
    let mut records = plan.kept.clone();
    for step in &plan.steps {
        match step {
            Step::MakeDir(at, ..) => drop(records.insert(listing.entries[*at].path.clone(), Record::Dir)),
            Step::Link(at, ..) => {
                let entry = &listing.entries[*at];
                if let Kind::Symlink(target) = &entry.kind {
                    let target = chordage_api::hex(target);
                    records.insert(entry.path.clone(), Record::Symlink { target });
                }
            }
            Step::Place(at, ..) => {
                let entry = &listing.entries[*at];
                let Kind::File { content, size, .. } = &entry.kind else { continue };
                let Some(hash) = stage.hash(&key(entry)).cloned() else { continue };
                let metadata = entry.metadata.unwrap_or(Metadata { mode: 0, mtime: (0, 0) });
                let stamp = Stamp { ino: 0, size: *size, mtime: (0, 0), ctime: (0, 0) };
                let content = content.clone();
                let record = FileRecord { content, hash, metadata, stamp, sure: false, adopted: false };
                records.insert(entry.path.clone(), Record::File(record));
            }
            Step::Touch(at, record) => {
                let record = Record::File(FileRecord { sure: false, ..record.clone() });
                records.insert(listing.entries[*at].path.clone(), record);
            }
            Step::Left(..) | Step::Remove(..) | Step::RemoveDir(_) => {}
        }
    }
    records
}

/// The link that a name stands for.
fn target(found: &Resolved) -> Result<Link, CliError> {
    if found.kind == TargetKind::Link {
        return link::parse_read(&found.target);
    }
    let what = if found.target.starts_with("chordvol1") {
        "a volume, and those are not followed: restore its snapshots with `chordage backup restore`"
    } else {
        "something that is no link"
    };
    Err(CliError::new(ExitStatus::BadLink, "not_a_link", format!("{} stands for {what}", found.name))
        .hint("its owner has to publish the link of a directory or file under it"))
}

/// What a file without a name is called: the last part of the name under which it is published.
fn bare_name(name: &str) -> Vec<u8> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let last = last.strip_prefix("dns:").unwrap_or(last);
    match last {
        "" | "." | ".." | super::home::HOME => b"file".to_vec(),
        last => last.as_bytes().to_vec(),
    }
}

fn os(path: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_file_is_called_like_the_end_of_its_name() {
        for (name, file) in [
            ("team/notes.txt", "notes.txt"),
            ("@key", "@key"),
            ("dns:example.org", "example.org"),
            ("..", "file"),
        ] {
            assert_eq!(bare_name(name), file.as_bytes(), "{name}");
        }
    }
}
