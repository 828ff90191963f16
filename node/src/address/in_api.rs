//! Ids of the overlay as the API writes them.

use chordage_api::types;
use chordage_dht::{Key, NodeId};

/// The id of a node.
pub(crate) fn api_id(id: NodeId) -> types::NodeId {
    (*id.as_bytes()).into()
}

/// A place on the ring.
pub(crate) fn api_key(key: Key) -> types::RingKey {
    (*key.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_write_the_same_text() {
        let id = NodeId::from_public_key(&[7; 32]);
        assert_eq!(api_id(id).to_string(), id.to_string());
        assert_eq!(api_key(*id.key()).to_string(), id.key().to_string());
    }
}
