//! What requests do, over real connections to files in memory. Those in volumes are tested with daemons and real
//! programs (`cli/tests`).

mod changing;
mod client;
mod failing;
mod freeing;
mod in_memory;
mod reading;
mod real;
mod strangers;
