//! Kills daemons at random points of puts and checks that nothing acknowledged is lost.
//!
//! ```text
//! cargo bench -p chordage-cli --bench crash -- [--points 500] [--seed 1] [--program CHORDAGE]
//! ```
//!
//! The seed decides about files, codes, gateways, victims and the part of a put after which they die. How far a put has
//! come by then is up to the machine. It says what was broken and how to run it again, and then ends with 1.

mod story;

use std::path::PathBuf;
use std::process::ExitCode;

use story::{Tally, Violation, run};

fn main() -> ExitCode {
    match start() {
        Ok(tally) => {
            println!("{}", shown(&tally));
            println!("nothing that was acknowledged is lost, nothing else is taken for whole");
            ExitCode::SUCCESS
        }
        Err(Violation(what)) => {
            eprintln!("error: {what}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<Tally, Violation> {
    let wrong = |what: &dyn std::fmt::Display| Violation(what.to_string());
    let (mut points, mut seed, mut program) = (500, 1, PathBuf::from(env!("CARGO_BIN_EXE_chordage")));
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| wrong(&format!("{name} needs a value")))?;
        match name.as_str() {
            "--points" => points = value.parse().map_err(|error| wrong(&error))?,
            "--seed" => seed = value.parse().map_err(|error| wrong(&error))?,
            "--program" => program = value.into(),
            _ => return Err(wrong(&format!("unknown option {name}"))),
        }
    }
    let dir = tempfile::tempdir().map_err(|error| wrong(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| wrong(&error))?;
    let progress = |tally: &Tally| {
        if tally.points.is_multiple_of(25) {
            eprintln!("{}", shown(tally));
        }
    };
    runtime.block_on(run(&program, dir.path(), seed, points, progress)).map_err(|Violation(what)| {
        let again = "cargo bench -p chordage-cli --bench crash --";
        Violation(format!("{what}\nagain: {again} --points {points} --seed {seed}"))
    })
}

fn shown(tally: &Tally) -> String {
    format!(
        "{} points: {} kills ({} during puts), {} puts acknowledged, {} ended with a typed error; \
         {} objects read back, acknowledged shards of {} chunks counted",
        tally.points,
        tally.kills,
        tally.kills_during_puts,
        tally.stored,
        tally.refused,
        tally.read,
        tally.chunks
    )
}
