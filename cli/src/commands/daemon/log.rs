//! What a daemon says of what it does, and of how it panics.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};

use chordage_node::LogFormat;
use chordage_node::lines::{Lines, Stream};
use tracing_subscriber::EnvFilter;

/// Variable with the filter for the log.
const LOG_VARIABLE: &str = "CHORDAGE_LOG";
/// What is logged without it: our own decisions, and warnings of everybody else.
const LOG_DEFAULT: &str = "warn,chordage_node=info";

/// What is logged, which can be changed.
pub(super) struct Log {
    change: Box<dyn Fn(EnvFilter)>,
}

impl Log {
    /// Logs into the queue, panics included. `setting`: the filter that the settings have.
    pub(super) fn start(lines: &Lines, setting: Option<&str>, format: LogFormat) -> Self {
        say_panics(lines, format);
        let log = tracing_subscriber::fmt()
            .with_writer({
                let lines = lines.clone();
                move || lines.clone()
            })
            // It says so on standard error, and panics where it cannot.
            .log_internal_errors(false)
            .with_ansi(io::stderr().is_terminal());
        // Only the first log in a process counts, and this is it; it lives as long as the process does.
        let change: Box<dyn Fn(EnvFilter)> = match format {
            LogFormat::Text => {
                let log = log.with_env_filter(filter(setting)).with_filter_reloading();
                let handle = log.reload_handle();
                let _ = log.try_init();
                Box::new(move |filter| drop(handle.reload(filter)))
            }
            LogFormat::Json => {
                let log = log.json().flatten_event(true).with_current_span(false).with_span_list(false);
                let log = log.with_env_filter(filter(setting)).with_filter_reloading();
                let handle = log.reload_handle();
                let _ = log.try_init();
                Box::new(move |filter| drop(handle.reload(filter)))
            }
        };
        Log { change }
    }

    /// Logs by another filter from now on.
    pub(super) fn change(&self, setting: Option<&str>) {
        (self.change)(filter(setting));
    }
}

/// Whether the environment says what is logged, whatever the settings say.
pub(super) fn is_of_environment() -> bool {
    std::env::var_os(LOG_VARIABLE).is_some()
}

/// What is wrong with a filter.
pub(crate) fn problem(filter: &str) -> Option<String> {
    EnvFilter::try_new(filter).err().map(|error| error.to_string())
}

fn filter(setting: Option<&str>) -> EnvFilter {
    let said = std::env::var(LOG_VARIABLE).ok();
    // A variable that cannot be read must not keep a daemon from starting.
    EnvFilter::try_new(said.as_deref().or(setting).unwrap_or(LOG_DEFAULT))
        .unwrap_or_else(|_| EnvFilter::new(LOG_DEFAULT))
}

fn say_panics(lines: &Lines, format: LogFormat) {
    let said = lines.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        // With RUST_BACKTRACE alone it says more than that it is disabled.
        let trace = match Backtrace::capture() {
            trace if trace.status() == BacktraceStatus::Captured => format!("{trace}\n"),
            _ => String::new(),
        };
        let message = format!("thread {name} panicked: {panic}\n{trace}");
        let line = match format {
            LogFormat::Text => message,
            LogFormat::Json => format!("{}\n", serde_json::json!({ "level": "ERROR", "message": message })),
        };
        said.say(Stream::Err, line.as_bytes());
    }));
}
