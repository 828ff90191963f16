//! Who keeps an object, and who has to be told that it is forgotten.

use std::path::PathBuf;

use rand_chacha::ChaCha8Rng;

use super::client::{Ended, forget_at, keep_at};
use super::{Object, World, below};
use crate::network::Testnet;

/// Has another daemon keep what only daemons kept that are gone for good, as their owner would.
pub(super) async fn find_new_ones(net: &Testnet, world: &World, random: &mut ChaCha8Rng) {
    let living = living(net);
    let orphans: Vec<Object> = {
        let mut state = world.state();
        for object in &mut state.objects {
            object.keepers.retain(|keeper| living.contains(keeper));
        }
        state.objects.iter().filter(|object| object.keepers.is_empty()).cloned().collect()
    };
    for object in orphans {
        // What fails now is tried again after the next storm.
        keep_at(world, &living[below(random, living.len())], &object).await;
    }
}

/// Tells those keepers of forgotten objects that could not be told before. Who is gone for good needs not be told: what
/// it claimed ends.
pub(super) async fn forget_again(net: &Testnet, world: &World) {
    let living = living(net);
    let objects = std::mem::take(&mut world.state().to_forget);
    for mut object in objects {
        object.keepers.retain(|keeper| living.contains(keeper));
        forget(world, object).await;
    }
}

/// Tells all keepers of an object that is not wanted any more; who cannot be told is told after the storm.
pub(super) async fn forget(world: &World, mut object: Object) {
    let mut silent = Vec::new();
    for keeper in std::mem::take(&mut object.keepers) {
        match forget_at(world, &keeper, &object).await {
            Ended::Well(_) => {}
            // Its book was damaged: it keeps what holders say that it keeps, without knowing of which object that is.
            Ended::Refused(code) if code == "not_kept" => {}
            _ => silent.push(keeper),
        }
    }
    if !silent.is_empty() {
        world.state().to_forget.push(Object { keepers: silent, ..object });
    }
}

fn living(net: &Testnet) -> Vec<PathBuf> {
    net.living().into_iter().map(|index| net.data_dir(index)).collect()
}
