use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;
use crate::ShardError;

fn params(k: u8, n: u8) -> EncodeParams {
    EncodeParams::new(Redundancy::new(k, n).unwrap(), ConvergenceSecret::new([3; 32]))
}

fn noise(len: usize, seed: u8) -> Vec<u8> {
    let mut out = vec![0u8; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut out);
    out
}

fn numbered(chunk: &EncodedChunk) -> Vec<(u8, Bytes)> {
    (0u8..).zip(chunk.shards.iter().cloned()).collect()
}

proptest! {
    #[test]
    fn any_k_shards_give_the_chunk_back_and_rebuild_all_others(
        (k, n, kept) in (1u8..=20, 0u8..=20).prop_flat_map(|(k, m)| {
            let all: Vec<u8> = (0..k + m).collect();
            (Just(k), Just(k + m), subsequence(all, usize::from(k)).prop_shuffle())
        }),
        len in prop_oneof![1usize..200, 1usize..200_000],
        compressible: bool,
    ) {
        let plain = if compressible { vec![7; len] } else { noise(len, 1) };
        let mut coder = Coder::new();
        let chunk = encode_chunk(Pack::from(plain.clone()), &params(k, n), &mut coder).unwrap();
        let shards = numbered(&chunk);
        for (index, shard) in &shards {
            prop_assert_eq!(chunk.descriptor.verify_shard(*index, shard), Ok(()));
        }
        let some: Vec<_> = kept.iter().map(|i| shards[usize::from(*i)].clone()).collect();
        let read = decode_chunk(&chunk.reference, &chunk.descriptor, some.clone(), &mut coder).unwrap();
        prop_assert_eq!(&read[..], &plain[..]);

        let all: Vec<u8> = (0..n).collect();
        let rebuilt = rebuild_shards(&chunk.descriptor, &some, &all, &mut coder).unwrap();
        prop_assert_eq!(&rebuilt, &shards);

        let too_few = some[1..].to_vec();
        let error = decode_chunk(&chunk.reference, &chunk.descriptor, too_few, &mut coder).unwrap_err();
        prop_assert_eq!(error, DecodeError::Shards(CodecError::TooFewShards { needed: k, found: k - 1 }));
    }

    #[test]
    fn decoders_survive_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(descriptor) = Descriptor::decode(&bytes) {
            prop_assert_eq!(&descriptor.encode()[..], &bytes[..]);
        }
        if let Some(encoded) = bytes.first_chunk()
            && let Some(reference) = ChunkRef::decode(encoded)
        {
            prop_assert_eq!(&reference.encode(), encoded);
        }
        let mut sealed = bytes;
        let _ = seal::open(&mut sealed, &ChunkKey([0; 32]));
    }
}

#[test]
fn our_shards_are_those_of_the_crate() {
    for (k, n) in [(1, 3), (3, 6), (4, 10), (8, 20), (16, 40), (29, 80), (64, 128), (128, 128)] {
        let chunk = encode_chunk(Pack::from(noise(100_000, k)), &params(k, n), &mut Coder::new()).unwrap();
        if n == k {
            continue;
        }
        let theirs = reed_solomon_erasure::galois_8::ReedSolomon::new(k.into(), (n - k).into()).unwrap();
        let mut shards: Vec<Vec<u8>> = chunk.shards.iter().map(|shard| shard.to_vec()).collect();
        shards[usize::from(k)..].iter_mut().for_each(|parity| parity.fill(0));
        theirs.encode(&mut shards).unwrap();
        assert!(shards.iter().zip(&chunk.shards).all(|(theirs, ours)| theirs == ours), "{k}/{n}");
    }
}

#[test]
fn equal_data_of_one_owner_is_one_chunk_and_of_two_owners_two() {
    let plain = Pack::from(noise(50_000, 9));
    let id =
        |params: &EncodeParams| encode_chunk(plain.clone(), params, &mut Coder::new()).unwrap().reference.id;
    let mine = params(4, 10);
    let theirs = EncodeParams::new(mine.redundancy, ConvergenceSecret::new([4; 32]));
    assert_eq!(id(&mine), id(&mine));
    assert_ne!(id(&mine), id(&theirs));
    assert_ne!(id(&mine), id(&params(3, 6)));
    let chacha = EncodeParams { cipher: Cipher::ChaCha20Poly1305, ..mine.clone() };
    assert_ne!(id(&mine), id(&chacha));
}

#[test]
fn a_wrong_shard_key_or_descriptor_is_a_typed_error() {
    let mut coder = Coder::new();
    let chunk = encode_chunk(Pack::from(noise(10_000, 2)), &params(3, 6), &mut coder).unwrap();
    let other = encode_chunk(Pack::from(noise(10_000, 5)), &params(3, 6), &mut coder).unwrap();
    let shards = numbered(&chunk);

    let mut bad = shards[4].1.to_vec();
    bad[77] ^= 1;
    assert_eq!(chunk.descriptor.verify_shard(4, &bad), Err(ShardError::WrongHash));
    assert_eq!(
        chunk.descriptor.verify_shard(4, &bad[1..]),
        Err(ShardError::WrongLength { expected: bad.len(), found: bad.len() - 1 })
    );
    assert_eq!(chunk.descriptor.verify_shard(6, &bad), Err(ShardError::NoSuchIndex { index: 6, n: 6 }));
    assert_eq!(chunk.descriptor.verify_shard(3, &shards[4].1), Err(ShardError::WrongHash));

    let with_bad = vec![shards[0].clone(), shards[1].clone(), (4, Bytes::from(bad))];
    let mut decode = |reference: &ChunkRef, descriptor: &Descriptor, shards: &[(u8, Bytes)]| {
        decode_chunk(reference, descriptor, shards.to_vec(), &mut coder).unwrap_err()
    };
    assert_eq!(decode(&chunk.reference, &chunk.descriptor, &with_bad), DecodeError::Authentication);
    let wrong_key = ChunkRef { key: other.reference.key, ..chunk.reference };
    assert_eq!(decode(&wrong_key, &chunk.descriptor, &shards), DecodeError::Authentication);
    assert_eq!(
        decode(&chunk.reference, &other.descriptor, &shards),
        DecodeError::WrongDescriptor(chunk.reference.id)
    );
    let wrong_len = ChunkRef { plain_len: 9_999, ..chunk.reference };
    assert_eq!(decode(&wrong_len, &chunk.descriptor, &shards), DecodeError::Malformed);
    let stray = vec![(9, shards[0].1.clone())];
    assert_eq!(
        decode(&chunk.reference, &chunk.descriptor, &stray),
        DecodeError::Shards(CodecError::BadShard)
    );
    let short = vec![(0, shards[0].1.slice(1..))];
    assert_eq!(
        decode(&chunk.reference, &chunk.descriptor, &short),
        DecodeError::Shards(CodecError::BadShard)
    );

    let mix = [shards[0].clone(), shards[1].clone(), (2, other.shards[2].clone())];
    assert_eq!(
        rebuild_shards(&chunk.descriptor, &mix, &[5], &mut coder).unwrap_err(),
        RebuildError::Inconsistent { index: 5 }
    );
    assert_eq!(
        rebuild_shards(&chunk.descriptor, &shards, &[6], &mut coder).unwrap_err(),
        RebuildError::Shards(CodecError::BadShard)
    );
}

#[test]
fn the_root_of_a_link_is_read_without_knowing_its_length() {
    let mut coder = Coder::new();
    let chunk = encode_chunk(Pack::from(vec![1; 70_000]), &params(4, 10), &mut coder).unwrap();
    let root = ChunkRef { plain_len: 0, redundancy: None, ..chunk.reference };
    let read = decode_chunk(&root, &chunk.descriptor, numbered(&chunk), &mut coder).unwrap();
    assert_eq!(read, vec![1; 70_000]);
}

#[test]
fn lengths_are_bounded_both_ways() {
    let mut coder = Coder::new();
    let empty = encode_chunk(Pack::from(vec![]), &params(1, 1), &mut coder);
    assert_eq!(empty.unwrap_err(), EncodeError::Empty);
    let long = encode_chunk(Pack::from(vec![0; MAX_CHUNK_LEN + 1]), &params(1, 1), &mut coder);
    assert_eq!(long.unwrap_err(), EncodeError::TooLong(MAX_CHUNK_LEN + 1));
    let longest = Pack::from(noise(MAX_CHUNK_LEN, 0));
    let chunk = encode_chunk(longest.clone(), &params(3, 6), &mut coder).unwrap();
    assert_eq!(Descriptor::decode(&chunk.descriptor.encode()), Ok(chunk.descriptor.clone()));
    let read = decode_chunk(&chunk.reference, &chunk.descriptor, numbered(&chunk), &mut coder).unwrap();
    assert_eq!(&read[..], &longest[..]);
}

#[test]
fn a_chunk_that_lies_about_its_length_is_malformed_and_allocates_nothing_huge() {
    // Whoever knows the format can seal what they like under a key of their choice.
    let secret = ConvergenceSecret::new([1; 32]);
    for (method, plain_len) in
        [(Method::Stored, 5), (Method::Zstd, u32::MAX), (Method::Zstd, 4), (Method::Stored, 0)]
    {
        let body = b"body";
        let key = seal::derive_key(&secret, Cipher::Aes256Gcm, method, plain_len, body, None);
        let mut sealed = vec![0u8; body.len() + SEAL_OVERHEAD];
        sealed[BODY_START..][..body.len()].copy_from_slice(body);
        seal::seal(&mut sealed, &key, Cipher::Aes256Gcm, method, plain_len);
        let hashes = vec![ShardHash::of(&sealed)];
        let one = Redundancy::new(1, 1).unwrap();
        let descriptor = Descriptor::new(CodecId::ReedSolomonVandermonde, one, sealed.len() as u32, hashes);
        let reference = ChunkRef { id: descriptor.id(), key, plain_len: 0, redundancy: None };
        let read = decode_chunk(&reference, &descriptor, vec![(0, sealed.into())], &mut Coder::new());
        assert_eq!(read, Err(DecodeError::Malformed), "{method:?} {plain_len}");
    }
}

#[test]
fn descriptor_errors_name_what_is_wrong() {
    use crate::DescriptorError as E;
    let chunk = encode_chunk(Pack::from(vec![1; 100]), &params(2, 3), &mut Coder::new()).unwrap();
    let good = chunk.descriptor.encode().to_vec();
    let with = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] = byte;
        Descriptor::decode(&bad).unwrap_err()
    };
    assert_eq!(with(0, 2), E::UnsupportedVersion(2));
    assert_eq!(with(1, 9), E::UnsupportedCodec(9));
    assert_eq!(with(2, 4), E::BadRedundancy { k: 4, n: 3 });
    assert_eq!(with(3, 129), E::BadRedundancy { k: 2, n: 129 });
    assert!(matches!(with(7, 255), E::BadLength(_)));
    assert_eq!(with(3, 4), E::WrongSize { expected: 8 + 128, found: 8 + 96 });
    assert_eq!(Descriptor::decode(&good[..7]), Err(E::WrongSize { expected: 8, found: 7 }));
}
