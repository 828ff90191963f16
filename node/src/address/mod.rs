//! Addresses and names of peers, as libp2p, the overlay and users write them.

mod dialable;
mod in_api;
mod peer;

pub use self::dialable::AddressError;
pub(crate) use self::dialable::{Use, check as check_address};
pub(crate) use self::in_api::{api_id, api_key};
pub(crate) use self::peer::{
    dial_order, in_dial_order, ip, is_near, is_relayed, net_group, peer_id, public_key, split, to_address,
};
