//! Daemons killed at random points of puts. The long version is `cargo bench -p chordage-cli --bench crash`.

use crate::harness::PROGRAM;

#[path = "../../benches/crash/story.rs"]
mod story;

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_daemons_are_killed_in_the_middle_of_puts() {
    const SEED: u64 = 4;
    const POINTS: u32 = 5;
    let dir = tempfile::tempdir().unwrap();
    match story::run(PROGRAM.as_ref(), dir.path(), SEED, POINTS, |_| {}).await {
        Ok(tally) => {
            assert!(tally.points == POINTS && tally.kills >= POINTS, "{tally:?}");
            assert_eq!(
                tally.stored + tally.refused,
                POINTS,
                "every put ends one way or the other: {tally:?}"
            );
            assert!(tally.read >= tally.stored && tally.kills_during_puts <= tally.kills && tally.chunks > 0);
        }
        Err(story::Violation(what)) => {
            panic!(
                "{what}\nagain: cargo bench -p chordage-cli --bench crash -- --points {POINTS} --seed {SEED}"
            )
        }
    }
}
