//! The command line and the HTTP API against real daemons.

#![allow(clippy::unwrap_used, reason = "a test that panics is a test that reports")]

mod api;
mod backups;
mod bad_input;
mod closed;
mod daemon;
mod dns;
mod examples;
mod harness;
mod inputs;
mod interrupt;
mod left_out;
mod locale;
mod names;
mod networks;
mod operating;
mod outputs;
mod published;
mod restic;
mod ring;
mod round_trip;
mod sealed;
mod services;
mod sources;
mod topics;
mod upgrade;
mod webdav;
mod width;
