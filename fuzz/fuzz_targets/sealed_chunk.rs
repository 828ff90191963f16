#![no_main]

use chordage_storage::{ChunkKey, ChunkRef, Coder, Descriptor, ShardHash, decode_chunk};
use libfuzzer_sys::fuzz_target;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// The input is what stands inside the encryption: compression, length, body. It is sealed as anybody could who
/// makes a link of their own, into a chunk of one shard.
fuzz_target!(|message: &[u8]| {
    let key = [7; 32];
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
    let mut sealed = message.to_vec();
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    cipher.seal_in_place_append_tag(nonce, Aad::from([1, 1]), &mut sealed).unwrap();
    sealed.splice(0..0, [1, 1]);

    let mut descriptor = vec![1, 1, 1, 1];
    descriptor.extend((sealed.len() as u32).to_le_bytes());
    descriptor.extend(ShardHash::of(&sealed).0);
    let descriptor = Descriptor::decode(&descriptor).unwrap();
    let promised = message.get(1..5).map_or(0, |len| u32::from_le_bytes(len.try_into().unwrap()));
    for plain_len in [0, promised, promised ^ 1] {
        let reference = ChunkRef { id: descriptor.id(), key: ChunkKey(key), plain_len, redundancy: None };
        let shards = vec![(0, sealed.clone().into())];
        if let Ok(plain) = decode_chunk(&reference, &descriptor, shards, &mut Coder::new()) {
            assert_eq!(plain.len(), promised as usize);
            assert!(plain_len == 0 || plain_len == promised);
        }
    }
});
