//! Every rule of the protocol, as requests over real connections. Repositories lie in memory here; those in volumes are
//! tested with daemons and restic itself (`cli/tests`).

mod access;
mod bounds;
mod client;
mod deleting;
mod in_memory;
mod listing;
mod reading;
mod real;
mod uploading;
