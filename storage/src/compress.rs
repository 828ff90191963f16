//! Compression, when it pays.

use std::io;

use zstd::bulk::{Compressor, Decompressor};

/// zstd's fastest ordinary level: on source code 4.8 times smaller at 370 MB/s, where level 3 gives 5.3 times at
/// 220 MB/s (measured on a 2-core Xeon).
const LEVEL: i32 = 1;
/// Compression has to save this fraction of a chunk, or the chunk stays as it is and is cheaper to read.
const LEAST_SAVING: usize = 16;
/// Chunks from this length on are judged by samples first.
const SAMPLE_FROM: usize = 64 << 10;
/// Samples, and the length of each: 1.6 % of a 2 MiB chunk.
const SAMPLES: usize = 8;
const SAMPLE_LEN: usize = 4 << 10;

/// Whether chunks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Compression {
    /// Each chunk is compressed if samples of it, and then the whole, get at least a sixteenth smaller.
    #[default]
    WhenItPays,
    /// Never. The length of a compressed chunk says something about its content; this hides that.
    Off,
}

/// How the body of a sealed chunk is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Stored,
    Zstd,
}

impl Method {
    pub(crate) const fn to_byte(self) -> u8 {
        match self {
            Self::Stored => 0,
            Self::Zstd => 1,
        }
    }

    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Stored),
            1 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Compresses and decompresses with memory that is kept from chunk to chunk.
#[derive(Default)]
pub(crate) struct Squeezer {
    compressor: Option<Compressor<'static>>,
    decompressor: Option<Decompressor<'static>>,
    out: Vec<u8>,
}

impl Squeezer {
    /// The compressed chunk, or `None` if it is better left as it is. A failure of zstd counts as that too.
    pub(crate) fn compress(&mut self, plain: &[u8]) -> Option<&[u8]> {
        if plain.len() >= SAMPLE_FROM {
            let mut samples = Vec::with_capacity(SAMPLES * SAMPLE_LEN);
            let stride = (plain.len() - SAMPLE_LEN) / (SAMPLES - 1);
            for i in 0..SAMPLES {
                samples.extend_from_slice(&plain[i * stride..][..SAMPLE_LEN]);
            }
            self.compress_all(&samples)?;
        }
        self.compress_all(plain)
    }

    fn compress_all(&mut self, plain: &[u8]) -> Option<&[u8]> {
        if self.compressor.is_none() {
            self.compressor = Compressor::new(LEVEL).ok();
        }
        let compressor = self.compressor.as_mut()?;
        // zstd stops with an error as soon as its output would not fit, which is how little saving shows.
        let limit = plain.len() - plain.len() / LEAST_SAVING;
        if self.out.len() < limit {
            self.out.resize(limit, 0);
        }
        let len = compressor.compress_to_buffer(plain, &mut self.out[..limit]).ok()?;
        (len < plain.len()).then(|| &self.out[..len])
    }

    /// Decompresses to exactly `plain_len` bytes, which the caller has bounded: no input makes this allocate more.
    pub(crate) fn decompress(&mut self, compressed: &[u8], plain_len: usize) -> io::Result<Vec<u8>> {
        if self.decompressor.is_none() {
            self.decompressor = Some(Decompressor::new()?);
        }
        let decompressor = self.decompressor.as_mut().ok_or(io::ErrorKind::OutOfMemory)?;
        let mut plain = Vec::with_capacity(plain_len);
        let len = decompressor.decompress_to_buffer(compressed, &mut plain)?;
        if len != plain_len {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_compressed_and_noise_is_left_alone() {
        let mut squeezer = Squeezer::default();
        let text: Vec<u8> = (0..200_000u32).flat_map(|i| format!("line {i}\n").into_bytes()).collect();
        let compressed = squeezer.compress(&text).unwrap().to_vec();
        assert!(compressed.len() < text.len() / 2);
        assert_eq!(squeezer.decompress(&compressed, text.len()).unwrap(), text);

        let mut noise = vec![0u8; 300_000];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        assert!(squeezer.compress(&noise).is_none());
        assert!(squeezer.compress(&noise[..1000]).is_none());
        assert!(squeezer.compress(&[]).is_none());
    }

    #[test]
    fn a_wrong_length_or_damage_is_an_error() {
        let mut squeezer = Squeezer::default();
        let zeros = vec![0u8; 4 << 20];
        let bomb = squeezer.compress(&zeros).unwrap().to_vec();
        assert!(bomb.len() < 1000);
        assert!(squeezer.decompress(&bomb, 4096).is_err());
        assert!(squeezer.decompress(&bomb, zeros.len() + 1).is_err());
        assert!(squeezer.decompress(&bomb[..bomb.len() - 1], zeros.len()).is_err());
        assert!(squeezer.decompress(b"not zstd", 8).is_err());
    }
}
