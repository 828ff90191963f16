//! One bar with bytes, rate and time left.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How a long transfer shows that it lives. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Without a total there is no bar and no time left, but bytes and rate.
    pub(crate) fn new(verb: &'static str, total: Option<u64>, visible: bool) -> Self {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        let target =
            if visible { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        bar.set_draw_target(target);
        bar.set_style(style(total.is_some()));
        bar.set_message(verb);
        if visible {
            // So that time goes on even when nothing arrives.
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        Progress { bar }
    }

    /// So many bytes more.
    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// The whole turned out to be so many bytes.
    pub(crate) fn set_total(&self, total: u64) {
        self.bar.set_style(style(true));
        self.bar.set_length(total);
    }

    /// Another phase has begun.
    pub(crate) fn phase(&self, verb: &'static str) {
        self.bar.set_message(verb);
    }

    /// Does something else on the screen without tearing the bar.
    pub(crate) fn aside(&self, act: impl FnOnce()) {
        self.bar.suspend(act);
    }

    /// Takes the bar off the screen.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(with_total: bool) -> ProgressStyle {
    let template = if with_total {
        "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} left"
    } else {
        "{spinner} {msg} {binary_bytes} {binary_bytes_per_sec} {elapsed}"
    };
    ProgressStyle::with_template(template).expect("the templates are constants and covered by a test")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_templates_are_valid() {
        let progress = Progress::new("reading", None, false);
        progress.set_total(10);
        progress.advance(5);
        progress.clear();
    }
}
