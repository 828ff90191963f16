//! What the daemon's decoders use of the crate `libp2p`: names of peers and addresses, without a network.

pub use libp2p_identity as identity;
pub use libp2p_identity::PeerId;
pub use multiaddr::{self, Multiaddr};
