//! Clients: the program itself, putting and getting while things break.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::Instant;

use super::{Object, World, below, keepers};

/// Every operation has to end within this, with a success or an error that says why.
const OPERATION_DEADLINE: Duration = Duration::from_secs(120);
/// Objects of different clients have numbers of their own.
const NUMBERS_PER_CLIENT: u64 = 1 << 32;

/// How an operation ended.
pub(super) enum Ended {
    Well(Vec<u8>),
    /// With the code of its error.
    Refused(String),
    Late,
    Unexplained(String),
}

/// Objects that are not forgotten, so that there is something to get.
const LEFT_MIN: usize = 6;

/// Puts, gets, keeps and forgets by turns until the storms are over.
pub(super) async fn work(world: Arc<World>, client: u64) {
    let mut random =
        ChaCha8Rng::seed_from_u64(world.plan.seed ^ (client + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut next = client * NUMBERS_PER_CLIENT;
    while !world.state().over {
        let (known, usable) = {
            let state = world.state();
            (state.objects.clone(), state.usable.clone())
        };
        let Some(through) = (!usable.is_empty()).then(|| &usable[below(&mut random, usable.len())]) else {
            tokio::task::yield_now().await;
            continue;
        };
        if known.is_empty() || below(&mut random, 3) == 0 {
            let bytes = 1 + below(&mut random, world.plan.object_bytes_max.max(1));
            put(&world, through, next, bytes).await;
            next += 1;
            continue;
        }
        let object = &known[below(&mut random, known.len())];
        match below(&mut random, 8) {
            0 if known.len() > LEFT_MIN => forget(&world, object.number).await,
            1 => keep_at(&world, through, object).await,
            _ => get(&world, through, object, false).await,
        }
    }
}

async fn forget(world: &World, number: u64) {
    let object = {
        let mut state = world.state();
        let Some(position) = state.objects.iter().position(|object| object.number == number) else { return };
        state.report.forgotten += 1;
        state.objects.swap_remove(position)
    };
    keepers::forget(world, object).await;
}

/// Has a daemon stop keeping an object.
pub(super) async fn forget_at(world: &World, keeper: &Path, object: &Object) -> Ended {
    let args = ["forget", "--json", &object.link].map(OsStr::new);
    let ended = operate(world, keeper, &args, Vec::new()).await;
    if !matches!(&ended, Ended::Refused(code) if code == "not_kept") {
        note(&mut world.state().report, "forget", object.number, &ended);
    }
    ended
}

/// Has a daemon keep an object.
pub(super) async fn keep_at(world: &World, keeper: &Path, object: &Object) {
    let args = ["keep", "--json", &object.link].map(OsStr::new);
    let ended = operate(world, keeper, &args, Vec::new()).await;
    let mut state = world.state();
    note(&mut state.report, "keep", object.number, &ended);
    if !matches!(ended, Ended::Well(_)) {
        return;
    }
    let number = object.number;
    match state.objects.iter_mut().find(|object| object.number == number) {
        Some(object) if !object.keepers.iter().any(|known| known == keeper) => {
            object.keepers.push(keeper.to_owned());
        }
        Some(_) => {}
        // It was forgotten meanwhile, and this keeper has to hear of it too.
        None => state.to_forget.push(Object { keepers: vec![keeper.to_owned()], ..object.clone() }),
    }
}

/// Reads and compares every acknowledged object.
pub(super) async fn read_everything(world: &World) {
    let (objects, usable) = {
        let state = world.state();
        (state.objects.clone(), state.usable.clone())
    };
    for (position, object) in objects.iter().enumerate() {
        get(world, &usable[position % usable.len()], object, true).await;
    }
}

async fn put(world: &World, through: &Path, number: u64, bytes: usize) {
    let redundancy = world.plan.redundancy.clone();
    let args = ["put", "--json", "--redundancy", &redundancy, "-"].map(OsStr::new);
    let ended = operate(world, through, &args, content(world.plan.seed, number, bytes)).await;
    let mut state = world.state();
    let Ended::Well(output) = &ended else {
        note(&mut state.report, "put", number, &ended);
        return;
    };
    let link = serde_json::from_slice::<serde_json::Value>(output).ok();
    match link.and_then(|report| Some(report["link"].as_str()?.to_owned())) {
        Some(link) => {
            state.report.objects += 1;
            state.report.object_bytes += bytes as u64;
            state.objects.push(Object { number, bytes, link, keepers: vec![through.to_owned()] });
        }
        None => note(&mut state.report, "put", number, &Ended::Unexplained("no link came".to_owned())),
    }
}

/// `must`: everything has healed, so that nothing excuses a failure.
async fn get(world: &World, through: &Path, object: &Object, must: bool) {
    let args = ["get", "--json", &object.link, "-o", "-"].map(OsStr::new);
    let ended = operate(world, through, &args, Vec::new()).await;
    let mut state = world.state();
    match ended {
        Ended::Well(found) if found == content(world.plan.seed, object.number, object.bytes) => {
            state.report.gets += 1;
        }
        Ended::Well(found) => {
            state.report.altered += 1;
            let (number, length, wanted) = (object.number, found.len(), object.bytes);
            state
                .report
                .findings
                .push(format!("object {number} came with other bytes ({length} of {wanted})"));
        }
        ended => {
            if must {
                state.report.lost += 1;
                state.report.findings.push(format!("object {} cannot be read any more", object.number));
            }
            note(&mut state.report, "get", object.number, &ended);
        }
    }
}

fn note(report: &mut super::ChaosReport, what: &str, number: u64, ended: &Ended) {
    match ended {
        Ended::Well(_) => {}
        Ended::Refused(code) => *report.refused.entry(code.clone()).or_default() += 1,
        Ended::Late => {
            report.late += 1;
            report
                .findings
                .push(format!("{what} of object {number} took longer than {OPERATION_DEADLINE:?}"));
        }
        Ended::Unexplained(how) => {
            report.unexplained += 1;
            report.findings.push(format!("{what} of object {number}: {how}"));
        }
    }
}

/// Runs the program against one daemon.
async fn operate(world: &World, through: &Path, args: &[&OsStr], input: Vec<u8>) -> Ended {
    let began = Instant::now();
    let mut command = Command::new(&world.program);
    command.args(args).arg("--api").arg(through);
    for variable in ["CHORDAGE_API", "CHORDAGE_API_TOKEN", "CHORDAGE_DATA_DIR", "CHORDAGE_LOG"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let running = async {
        let mut child = command.spawn()?;
        let stdin = child.stdin.take();
        let feeding = async {
            if let Some(mut stdin) = stdin {
                // A program that refuses does not read to the end, and says why itself.
                let _ = stdin.write_all(&input).await;
                let _ = stdin.shutdown().await;
            }
        };
        let ((), output) = tokio::join!(feeding, child.wait_with_output());
        output
    };
    let ended = match tokio::time::timeout(OPERATION_DEADLINE, running).await {
        Err(_) => Ended::Late,
        Ok(Err(error)) => Ended::Unexplained(error.to_string()),
        Ok(Ok(output)) if output.status.success() => Ended::Well(output.stdout),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let error =
                said.lines().last().and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            match error.as_ref().and_then(|error| error["code"].as_str()) {
                Some("internal") | None => Ended::Unexplained(format!("{}: {said}", output.status)),
                Some(code) => Ended::Refused(code.to_owned()),
            }
        }
    };
    let mut state = world.state();
    state.report.operation_seconds_max =
        state.report.operation_seconds_max.max(began.elapsed().as_secs_f64());
    drop(state);
    ended
}

/// The bytes of an object.
fn content(seed: u64, number: u64, bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    let mut random = ChaCha8Rng::seed_from_u64(seed.rotate_left(32) ^ number);
    random.fill_bytes(&mut content);
    content
}
