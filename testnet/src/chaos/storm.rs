//! A storm: what happens to daemons.

use std::time::Duration;

use chordage_api::client::Client;
use rand_chacha::ChaCha8Rng;
use tokio::time::sleep;

use super::twin::twin;
use super::{ChaosError, Fault, Harm, IMPATIENT, World, below, damage, links, note_usable};
use crate::network::{STATUS_TIMEOUTS, Testnet};
use crate::wait::wait_until;

/// How long a daemon may take to hand on what it holds. What is left then has to be made again from the others.
const DRAIN_WAIT: Duration = Duration::from_secs(60);
/// How far a clock may be off, and the seconds of a year.
const CLOCK_YEARS_MAX: usize = 5;
const YEAR: i64 = 365 * 24 * 60 * 60;
/// How long a storm lasts at most after its last hit: some of these are noticed after seconds only.
const LASTS_MAX: Duration = Duration::from_secs(12);
/// How long it may take to leave.
const LEAVE_WAIT: Duration = Duration::from_secs(20);

/// Hits daemons, each at most once, with pauses in between. Returns those that are harm.
pub(super) async fn storm(
    net: &mut Testnet,
    world: &World,
    random: &mut ChaCha8Rng,
) -> Result<Harm, ChaosError> {
    let hits = 1 + below(random, world.plan.hits_max.max(1));
    let mut untouched = net.living();
    let mut harm = Harm::default();
    for _ in 0..hits {
        sleep(Duration::from_millis(200 + below(random, 2000) as u64)).await;
        // Somebody has to be there to talk to.
        if untouched.len() <= 1 {
            break;
        }
        let fault = world.plan.faults[below(random, world.plan.faults.len())];
        let Some(victim) = choose(&mut untouched, world, fault, random) else { continue };
        match fault {
            Fault::Kill => {
                net.kill(&[victim])?;
                harm.killed.push(victim);
            }
            Fault::Stop => net.freeze(victim)?,
            Fault::Corrupt => {
                let shards = net.data_dir(victim).join("shards");
                let flipped = damage::flip(&shards, 3, random)
                    .map_err(|error| ChaosError::Damage { path: shards, error })?;
                world.state().report.flipped_bytes += flipped;
            }
            Fault::Blackout => {
                let all = net.living();
                world.state().usable.clear();
                net.kill(&all)?;
                net.restart(&all).await?;
                // Whoever was frozen or untouched is as everybody else now.
                untouched.clear();
            }
            Fault::Books => {
                net.kill(&[victim])?;
                note_usable(net, world);
                let dir = net.data_dir(victim);
                let damaged =
                    damage::book(&dir, random).map_err(|error| ChaosError::Damage { path: dir, error })?;
                *world.state().report.damaged_books.entry(damaged).or_default() += 1;
                net.restart(&[victim]).await?;
            }
            Fault::Clock => clock(net, world, victim, random).await?,
            Fault::Twin => twin(net, world, victim).await?,
            Fault::Drain => {
                drain(net, victim).await?;
                harm.drained.push(victim);
            }
            Fault::Cut => {
                let shards = net.data_dir(victim).join("shards");
                damage::cut(&shards, random).map_err(|error| ChaosError::Damage { path: shards, error })?;
            }
            Fault::Slow => harm.slow.extend(net.process(victim).map(links::Slow::begin)),
            Fault::Fill => {
                let dir = net.data_dir(victim);
                damage::fill(&dir).map_err(|error| ChaosError::Damage { path: dir, error })?;
                harm.full.push(victim);
            }
            Fault::Isolate | Fault::OneWay | Fault::Loss | Fault::Narrow | Fault::NoTcp | Fault::NoQuic => {
                harm.links = true;
                links::hit(net, victim, fault).await?;
            }
        }
        *world.state().report.faults.entry(fault).or_default() += 1;
        note_usable(net, world);
    }
    sleep(Duration::from_millis(below(random, LASTS_MAX.as_millis() as usize) as u64)).await;
    Ok(harm)
}

/// Starts a daemon again with its clock off by years.
async fn clock(
    net: &mut Testnet,
    world: &World,
    victim: usize,
    random: &mut ChaCha8Rng,
) -> Result<(), ChaosError> {
    let years = below(random, 2 * CLOCK_YEARS_MAX + 1) as i64 - CLOCK_YEARS_MAX as i64;
    net.kill(&[victim])?;
    note_usable(net, world);
    let settings = |text: String| {
        let path = &world.plan.settings;
        std::fs::write(path, text).map_err(|error| ChaosError::Settings { path: path.clone(), error })
    };
    settings(format!("debug_clock_seconds = {}\n{IMPATIENT}", years * YEAR))?;
    let started = net.restart(&[victim]).await;
    settings(IMPATIENT.to_owned())?;
    Ok(started?)
}

/// Takes a daemon for a fault out of those that were not hit, if one of them is fit for it.
fn choose(untouched: &mut Vec<usize>, world: &World, fault: Fault, random: &mut ChaCha8Rng) -> Option<usize> {
    let small = &world.state().small_disks;
    let fit = |index: &usize| fault != Fault::Fill || small.contains_key(index);
    let fits: Vec<usize> = untouched.iter().copied().filter(fit).collect();
    let victim = *fits.get(below(random, fits.len().max(1)))?;
    untouched.retain(|index| *index != victim);
    Some(victim)
}

/// Has a daemon hand on what it holds, and leave.
async fn drain(net: &mut Testnet, index: usize) -> Result<(), ChaosError> {
    let failed = |problem: String| ChaosError::NotDrained { index, problem };
    let client: Client = net.client(index).map_err(|error| failed(error.to_string()))?;
    let client = client.with_timeouts(STATUS_TIMEOUTS);
    client.drain().await.map_err(|error| failed(error.to_string()))?;
    let drained = async || {
        let status = client.status().await.map_err(|error| error.to_string())?;
        if status.duties.drain.is_some_and(|drain| drain.done) {
            Ok(())
        } else {
            Err("it goes on".to_owned())
        }
    };
    // Others may be frozen now, so that there is nobody to take what is left: then it leaves all the same.
    let _ = wait_until("a daemon has handed on what it holds", DRAIN_WAIT, drained).await;
    net.stop(&[index], LEAVE_WAIT).await?;
    Ok(())
}
