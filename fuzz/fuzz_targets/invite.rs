#![no_main]
// The daemon's own files: they are private to its crate, and linking all of libp2p would make this slow.
#![allow(dead_code, unreachable_pub)]

use libfuzzer_sys::fuzz_target;

use crate::network::invite::{Invite, Proof};
use crate::network::invites::{INVITES_MAX, Invites, RedeemError};
use crate::network::is_name;
use crate::network::kept::Kept;
use crate::network::open_invite::OpenInvite;
use crate::network::text::{ADDRESSES_MAX, InviteError, WayIn};

#[path = "../../node/src/network/mod.rs"]
mod network;

// A pasted invite, of either kind, prints as the same text, but for case and surrounding white space, can be shown, and
// gives its secret away in no other way. What a daemon keeps on disk of invites and of its network is sound, or is
// refused.
fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = core::str::from_utf8(bytes) {
        read(text);
    }
    // With a checksum that is right, so that what stands before it is looked at.
    read(&invite_of(bytes));
    if let Ok(mut book) = Invites::decode(bytes) {
        assert!(book.open(0).count() <= INVITES_MAX);
        assert_eq!(Invites::decode(&book.encode()).as_ref(), Ok(&book));
        let ids: Vec<_> = book.open(0).map(|shown| shown.id).collect();
        for id in ids {
            let found = book.redeem(id, &Proof([0; 32]), (&[1; 32], &[2; 32]), 0);
            assert_eq!(found, Err(RedeemError::WrongProof));
        }
    }
    if let Ok(kept) = Kept::decode(bytes) {
        assert_eq!(kept.encode(), bytes);
    }
});

/// The text of a payload, whatever that is.
fn invite_of(payload: &[u8]) -> String {
    let sum = blake3::derive_key("chordage 2026 invite checksum", payload);
    let text = data_encoding::BASE32_NOPAD.encode(&[payload, &sum[..4]].concat());
    format!("chordage-invite:{}", text.to_ascii_lowercase())
}

fn read(text: &str) {
    let text_begins_so = text.trim().to_ascii_lowercase().starts_with("chordage-invite:");
    let (shown, name, addresses) = match text.parse() {
        Ok(WayIn::Private(invite)) => {
            let invitation = invite.invitation();
            let other = Invite::new([0; 16], invitation.clone()).expect("as sound as the first");
            assert_eq!(format!("{other:?}"), format!("{invite:?}"), "what is shown does not depend on the secret");
            (invite.to_string(), invitation.name.clone(), invitation.addresses.clone())
        }
        Ok(WayIn::Open(invite)) => {
            let (genesis, addresses) = (invite.genesis(), invite.addresses().to_vec());
            assert!(genesis.work().is_shown_by(invite.daemon()));
            assert!(OpenInvite::new(genesis.clone(), *invite.daemon(), addresses.clone()).is_some());
            (invite.to_string(), genesis.founding().name.clone(), addresses)
        }
        Err(error) => return assert_eq!(error == InviteError::NotAnInvite, !text_begins_so),
    };
    assert_eq!(shown, text.trim().to_ascii_lowercase());
    assert!(is_name(&name));
    assert!((1..=ADDRESSES_MAX).contains(&addresses.len()));
    let mut shown = addresses.iter().map(ToString::to_string);
    assert!(shown.all(|address| !address.is_empty() && !address.chars().any(char::is_control)));
}
