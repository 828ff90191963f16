//! A counter that several programs share: a name whose text they change by compare-and-set.
//!
//! ```sh
//! chordage name create hits
//! cargo run -p chordage-api --example counter -- auto hits alice 100
//! ```
//!
//! **What compare-and-set promises.** Of two writers that have read the same version one is refused and reads again: no
//! increment that was answered with `stored` is lost, and none is counted twice.
//!
//! **What it does not.** An answer may be `unknown`, because too few of the nodes that keep the name have confirmed it:
//! then the increment may have happened. A writer that simply tried again would sometimes count twice, and one that did
//! not would sometimes count too little. So each writer has a number of its own in the text: whether it went up is then
//! seen. And while a network is parted, both halves may go on counting; when it is one again, the higher version stays,
//! and with it the counts of one half only.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use chordage_api::client::{Client, ClientError};
use chordage_api::types::{
    ProblemCode, PublishRequest, PublishState, USUAL_TTL_SECONDS, USUAL_VALID_SECONDS,
};

/// How often an increment is tried, beside others that count too.
const TRIES: u64 = 100;

/// What each writer has counted, and the number of the version that says so.
type Counts = (BTreeMap<String, u64>, u64);

/// What all have counted, as a majority of those who keep the name says.
async fn read(daemon: &Client, name: &str) -> Result<Counts, Box<dyn Error>> {
    let found = match daemon.resolve_name(name, true, None).await {
        Ok(found) => found,
        // Nobody has counted yet.
        Err(ClientError::Problem(problem)) if problem.code == ProblemCode::NoSuchName => {
            return Ok((BTreeMap::new(), 0));
        }
        Err(error) => return Err(error.into()),
    };
    let one = |part: &str| {
        let (writer, count) = part.split_once('=')?;
        Some((writer.to_owned(), count.parse().ok()?))
    };
    let counts: Option<_> = found.target.split(' ').map(one).collect();
    Ok((counts.ok_or(format!("{name} is no counter: {}", found.target))?, found.seq))
}

/// Adds one to what `writer` has counted.
async fn increment(daemon: &Client, name: &str, writer: &str) -> Result<(), Box<dyn Error>> {
    let mut aim = None;
    for attempt in 0..TRIES {
        let (mut counts, seq) = read(daemon, name).await?;
        let mine = counts.entry(writer.to_owned()).or_default();
        // An earlier try of which nothing was known has counted after all.
        if *mine >= *aim.get_or_insert(*mine + 1) {
            return Ok(());
        }
        *mine += 1;
        let parts: Vec<_> = counts.iter().map(|(writer, count)| format!("{writer}={count}")).collect();
        let request = PublishRequest {
            name: name.to_owned(),
            target: Some(parts.join(" ")),
            ttl_seconds: USUAL_TTL_SECONDS,
            valid_seconds: USUAL_VALID_SECONDS,
            expect_seq: Some(seq),
            delegate: false,
        };
        match daemon.publish_name(&request).await {
            Ok(report) if report.state == PublishState::Stored => return Ok(()),
            // Perhaps it counts: the next look tells.
            Ok(_) => {}
            // Somebody else was first.
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::Conflict => {}
            Err(error) => return Err(error.into()),
        }
        // Not all at once again.
        tokio::time::sleep(Duration::from_millis(writer.len() as u64 % 7 + attempt % 13)).await;
    }
    Err("others count all the time".into())
}

/// Counts `times` times, and returns what all have counted together.
pub(crate) async fn run(daemon: &str, name: &str, writer: &str, times: u64) -> Result<u64, Box<dyn Error>> {
    let daemon = Client::find(daemon)?;
    for _ in 0..times {
        increment(&daemon, name, writer).await?;
    }
    Ok(read(&daemon, name).await?.0.values().sum())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [daemon, name, writer, times] = &args[..] else {
        return Err("usage: counter DAEMON NAME WRITER TIMES".into());
    };
    println!("{} in all", run(daemon, name, writer, times.parse()?).await?);
    Ok(())
}
