use super::*;

/// The configured suspicion, and as a node in doubt of its own health has it.
const WHOLE: Duration = Duration::from_secs(6);
const STRETCHED: Duration = Duration::from_secs(12);
const START: Time = Time::from_micros(1_000_000);

fn suspected(missed: u8) -> Suspicion {
    Suspicion { since: START, missed, ..Suspicion::NONE }
}

fn is_dead_after(suspicion: &Suspicion, suspected: Duration) -> bool {
    suspicion.is_fatal(START + suspected, WHOLE, WHOLE)
}

#[test]
fn suspects_are_dead_after_as_long_as_others_say_and_no_sooner() {
    let first = suspected(MISSES_FIRST);
    let heard = Suspicion { announced: true, ..suspected(MISSES_MIN) };
    for (suspicion, healthy, in_doubt) in [
        (first, 12, 24),
        (Suspicion { confirmations: 1, ..first }, 6, 12),
        (Suspicion { confirmations: 9, ..first }, 6, 12),
        (Suspicion { vouchers: 1, ..first }, 18, 18),
        (Suspicion { vouchers: 1, confirmations: 9, ..first }, 18, 18),
        (heard, 1, 2),
        (Suspicion { confirmations: 9, ..heard }, 1, 2),
        (Suspicion { vouchers: 1, ..heard }, 18, 18),
    ] {
        for (stretched, seconds) in [(WHOLE, healthy), (STRETCHED, in_doubt)] {
            let end = START + Duration::from_secs(seconds);
            let before = START + (Duration::from_secs(seconds) - Duration::from_millis(1));
            assert!(!suspicion.is_fatal(before, WHOLE, stretched), "{suspicion:?}, {stretched:?}");
            assert!(suspicion.is_fatal(end, WHOLE, stretched), "{suspicion:?}, {stretched:?}");
        }
    }
}

#[test]
fn the_first_to_notice_has_missed_four_questions_and_whoever_was_told_two() {
    let refused = |refused| Suspicion { refused, ..suspected(refused) };
    for (suspicion, dead) in [
        (suspected(3), false),
        (Suspicion { confirmations: 9, ..suspected(3) }, false),
        (suspected(4), true),
        (Suspicion { announced: true, ..suspected(1) }, false),
        (Suspicion { announced: true, ..suspected(2) }, true),
        (refused(1), false),
        (refused(2), true),
    ] {
        assert_eq!(is_dead_after(&suspicion, Duration::from_secs(3_600)), dead, "{suspicion:?}");
    }
    assert!(is_dead_after(&refused(2), Duration::ZERO), "what the transport has refused twice needs no time");
    assert!(!is_dead_after(&Suspicion::NONE, Duration::ZERO));
}

#[test]
fn stages_follow_the_diagram() {
    let later = START + Duration::from_secs(1);
    let mut neighbour = Suspicion::NONE;
    assert_eq!(neighbour.stage(), Stage::Trusted);
    neighbour.is_said_to_be_down();
    assert_eq!(neighbour.stage(), Stage::Accused);
    assert!(neighbour.misses(START, false), "it becomes suspected");
    assert_eq!(neighbour.stage(), Stage::Suspected { since: START });
    assert!(!neighbour.misses(later, true), "it was already");
    assert_eq!(neighbour.stage(), Stage::Suspected { since: START }, "since the first that it missed");
    assert_eq!((neighbour.missed, neighbour.refused, neighbour.confirmations), (2, 1, 1));
    neighbour.speaks();
    assert_eq!(neighbour.stage(), Stage::Trusted);
    assert_eq!((neighbour.missed, neighbour.refused, neighbour.confirmations), (0, 0, 0));
    assert!(neighbour.misses(later, false));
    assert_eq!(neighbour.stage(), Stage::Suspected { since: later });
}

#[test]
fn what_helpers_say_counts_for_suspects_only_until_they_speak() {
    for (reached, expected) in [(true, (1, 0)), (false, (0, 1))] {
        let mut neighbour = Suspicion::NONE;
        assert!(!neighbour.was_tried(reached), "it is no suspect");
        assert_eq!((neighbour.vouchers, neighbour.confirmations), (0, 0));
        neighbour.misses(START, false);
        assert!(neighbour.was_tried(reached));
        assert_eq!((neighbour.vouchers, neighbour.confirmations), expected);
        neighbour.speaks();
        assert_eq!((neighbour.vouchers, neighbour.confirmations), (0, 0), "it has spoken since");
    }
}

#[test]
fn a_death_has_spread_when_four_have_told_of_it() {
    let mut neighbour = Suspicion::NONE;
    for told in 1..=4 {
        neighbour.is_said_to_be_down();
        assert_eq!(neighbour.has_spread(), told == 4, "{told}");
    }
}

#[test]
fn one_probe_is_under_way_at_a_time_and_speaking_does_not_end_it() {
    let mut neighbour = Suspicion::NONE;
    assert!(neighbour.start_probe());
    assert!(!neighbour.start_probe());
    neighbour.speaks();
    assert!(!neighbour.start_probe(), "its answer ends it, not another word");
    neighbour.end_probe();
    assert!(neighbour.start_probe());
}

#[test]
fn who_is_doubted_is_probed_once_and_who_is_suspected_every_time() {
    let mut neighbour = Suspicion::NONE;
    assert!(!neighbour.take_probe());
    neighbour.probe_soon();
    neighbour.speaks();
    assert!(neighbour.take_probe());
    assert!(!neighbour.take_probe());
    neighbour.misses(START, false);
    assert!(neighbour.take_probe() && neighbour.take_probe());
}

#[test]
fn probes_come_three_to_the_suspicion_and_six_once_the_death_is_announced() {
    assert_eq!(Suspicion::between_probes(WHOLE, false), Duration::from_secs(2));
    assert_eq!(Suspicion::between_probes(WHOLE, true), Duration::from_secs(1));
}
