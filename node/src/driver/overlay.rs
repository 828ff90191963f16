//! The overlay's state machine with what it needs of the world: its time and its chance. News go in, and what is to be
//! done comes out.

use chordage_dht::{AnyMetric, Dht, Input, Output};
use rand_chacha::ChaCha12Rng;
use tokio::time::Instant;

use super::time::OverlayTime;

/// See the module's description.
pub(super) struct Overlay {
    pub(super) dht: Dht<AnyMetric>,
    pub(super) time: OverlayTime,
    rng: ChaCha12Rng,
    /// Room for what comes out, used again and again.
    outputs: Vec<Output>,
    /// What it has asked for, and is told once everything else that came out with it is done.
    answers: Vec<Input>,
}

impl Overlay {
    pub(super) fn new(dht: Dht<AnyMetric>, rng: ChaCha12Rng) -> Self {
        Self { dht, time: OverlayTime::begin(), rng, outputs: Vec::new(), answers: Vec::new() }
    }

    /// Takes in something that happened at `at`, and returns what is to be done: the overlay's time is that of its
    /// news, and never goes back.
    pub(super) fn take_in(&mut self, at: Instant, input: Input) -> Vec<Output> {
        if let Some(unix_time) = self.time.leave_out_sleep() {
            self.dht.set_unix_time(unix_time);
        }
        let now = self.time.of_news(at);
        let mut outputs = std::mem::take(&mut self.outputs);
        self.dht.handle(now, &mut self.rng, input, &mut outputs);
        outputs
    }

    /// Gives the room back that [`take_in`](Self::take_in) has filled.
    pub(super) fn give_back(&mut self, outputs: Vec<Output>) {
        self.outputs = outputs;
    }

    /// Tells it this, later.
    pub(super) fn answer(&mut self, answer: Input) {
        self.answers.push(answer);
    }

    /// What it is to be told now.
    pub(super) fn answers(&mut self) -> Vec<Input> {
        std::mem::take(&mut self.answers)
    }

    /// When it wants to be called.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.dht.next_timeout().map(|at| self.time.moment(at))
    }
}
