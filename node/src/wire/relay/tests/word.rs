//! A doorkeeper for tests.

use std::sync::{Arc, Mutex};

use libp2p::PeerId;

use crate::wire::{Doorkeeper, Refusal, Verdict};

/// Lets in whoever says the word; a careless one lets in everybody.
pub(super) struct Word {
    word: &'static [u8],
    careless: bool,
    pub(super) judged: Mutex<Vec<PeerId>>,
}

impl Word {
    pub(super) fn of(word: &'static [u8]) -> Arc<Word> {
        Arc::new(Word { word, careless: false, judged: Mutex::default() })
    }

    pub(super) fn careless(word: &'static [u8]) -> Arc<Word> {
        Arc::new(Word { word, careless: true, judged: Mutex::default() })
    }
}

impl Doorkeeper for Word {
    fn papers(&self, _: &PeerId) -> Vec<u8> {
        self.word.into()
    }

    fn judge(&self, from: &PeerId, papers: &[u8]) -> Verdict {
        self.judged.lock().expect("no panic").push(*from);
        let enters = self.careless || papers == self.word;
        Verdict { answer: if enters { self.word.into() } else { b"go away".to_vec() }, enters }
    }

    fn judge_answer(&self, _: &PeerId, answer: &[u8]) -> Result<(), Refusal> {
        let enters = self.careless || answer == self.word;
        if enters { Ok(()) } else { Err(Refusal(String::from_utf8_lossy(answer).into_owned())) }
    }
}
