//! What a node that is no super-peer has to tell: it says so to two super-peers, which spread it.

use alloc::vec::Vec;
use core::time::Duration;

use super::{NEVER, News};
use crate::Time;

/// How long news wait for others to share a message with. Design.
const FIRST: Duration = Duration::from_millis(500);
/// Until they are told again, in case a message was lost. Design.
const AGAIN: Duration = Duration::from_secs(2);
/// How often they are told. Design: with 2 % of messages lost, all six (three to each of two) are lost once in 10^10.
const TIMES: u8 = 3;
/// Most news waiting. Design: more than a whole leaf set dying at once.
const WAITING_MAX: usize = 64;
/// Most news in one report.
pub(crate) const REPORT_MAX: usize = WAITING_MAX;

#[derive(Debug, Clone)]
pub(crate) struct Reports {
    waiting: Vec<(News, u8)>,
    pub(crate) at: Time,
}

impl Default for Reports {
    fn default() -> Self {
        Self { waiting: Vec::new(), at: NEVER }
    }
}

impl Reports {
    pub(crate) fn push(&mut self, news: News, now: Time) {
        self.waiting.retain(|(waiting, _)| waiting.id() != news.id());
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push((news, TIMES));
            self.at = self.at.min(now + FIRST);
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What is to be told now. If nobody is there to hear it, it waits.
    pub(crate) fn due(&mut self, now: Time, is_heard: bool) -> Vec<News> {
        if self.at > now {
            return Vec::new();
        }
        let due = self.waiting.iter().map(|(news, _)| news.clone()).collect();
        if is_heard {
            for (_, left) in &mut self.waiting {
                *left -= 1;
            }
            self.waiting.retain(|(_, left)| *left > 0);
        }
        self.at = if self.waiting.is_empty() { NEVER } else { now + AGAIN };
        if is_heard { due } else { Vec::new() }
    }
}
