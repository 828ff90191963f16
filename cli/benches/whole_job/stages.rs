//! What this machine can do of each thing that storing consists of, when it does nothing else: the primitives alone,
//! with all cores, over a tenth of a second and more.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::meter::cpu_of;
use crate::options::Options;
use crate::wire;

/// Length of a chunk, about.
const CHUNK: usize = 2 << 20;
/// How long each stage is measured.
const TIME: Duration = Duration::from_millis(800);
/// What each holder writes before it syncs, about.
const BATCH: usize = 2 << 20;
const BATCHES: usize = 12;

/// MB/s with all cores, of what goes in.
#[derive(Clone, Debug)]
pub(crate) struct Stages {
    pub(crate) cores: usize,
    pub(crate) hash: f64,
    pub(crate) cut: f64,
    pub(crate) cipher: f64,
    /// Of user data.
    pub(crate) code: f64,
    /// Both ends on this machine.
    pub(crate) wire: f64,
    /// Durable, by as many files at a time as there are holders.
    pub(crate) disk: f64,
    /// The same, had it only to do with the CPU.
    pub(crate) disk_cpu: f64,
}

/// Measures all of them, one after the other.
pub(crate) fn measure(options: &Options, scratch: &Path) -> Result<Stages, Failure> {
    let (k, n) = options.code()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let noise: Vec<u8> = {
        let mut bytes = vec![0; CHUNK];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    };
    let shard = CHUNK / k;
    let hash = on_all(cores, CHUNK, || {
        let noise = noise.clone();
        move || {
            for shard in noise.chunks(shard) {
                std::hint::black_box(blake3::hash(shard));
            }
        }
    });
    let cut = on_all(cores, CHUNK, || {
        let noise = noise.clone();
        move || {
            let cutter = fastcdc::v2020::FastCDC::new(&noise, 64 << 10, 256 << 10, 1 << 20);
            std::hint::black_box(cutter.count());
        }
    });
    let cipher = on_all(cores, CHUNK, || {
        let mut bytes = noise.clone();
        move || {
            let key = ring::aead::UnboundKey::new(&ring::aead::AES_256_GCM, &[7; 32])
                .map(ring::aead::LessSafeKey::new);
            let nonce = ring::aead::Nonce::assume_unique_for_key([0; 12]);
            let tag = key
                .and_then(|key| key.seal_in_place_separate_tag(nonce, ring::aead::Aad::empty(), &mut bytes));
            assert!(tag.is_ok(), "a chunk is not too long to seal");
        }
    });
    let code = if n > k && k > 1 {
        let codec = reed_solomon_erasure::galois_8::ReedSolomon::new(k, n - k)?;
        on_all(cores, k * shard, || {
            let data: Vec<Vec<u8>> = noise.chunks_exact(shard).take(k).map(<[u8]>::to_vec).collect();
            let mut parity = vec![vec![0; shard]; n - k];
            let codec = codec.clone();
            move || assert!(codec.encode_sep(&data, &mut parity).is_ok(), "the shards fit the code")
        })
    } else {
        f64::INFINITY
    };
    let (disk, disk_cpu) = disk(options.nodes, cores, &noise[..BATCH.min(CHUNK)], scratch)?;
    let wire = wire::measure(cores.div_ceil(2), shard)?;
    Ok(Stages { cores, hash, cut, cipher, code, wire, disk, disk_cpu })
}

/// Runs what `make` gives, again and again on each core; MB/s of all together.
fn on_all<W: FnMut() + Send>(cores: usize, bytes: usize, make: impl Fn() -> W) -> f64 {
    let barrier = Barrier::new(cores);
    let rate = |mut work: W, barrier: &Barrier| {
        work();
        barrier.wait();
        let (started, mut rounds) = (Instant::now(), 0u64);
        while started.elapsed() < TIME {
            work();
            rounds += 1;
        }
        rounds as f64 * bytes as f64 / 1e6 / started.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|_| {
                let (work, barrier, rate) = (make(), &barrier, &rate);
                scope.spawn(move || rate(work, barrier))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0.0)).sum()
    })
}

/// Appends batches to as many files as there are holders, each synced; MB/s of all, and MB/s by CPU time.
fn disk(holders: usize, cores: usize, batch: &[u8], scratch: &Path) -> Result<(f64, f64), Failure> {
    let dir = tempfile::tempdir_in(scratch)?;
    let barrier = Barrier::new(holders);
    rustix::fs::sync();
    let cpu = cpu_of(std::process::id());
    let started = Instant::now();
    let write = |number: usize| -> std::io::Result<()> {
        let mut file = File::create(dir.path().join(number.to_string()))?;
        barrier.wait();
        for _ in 0..BATCHES {
            file.write_all(batch)?;
            file.sync_data()?;
        }
        Ok(())
    };
    let done: std::io::Result<()> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..holders).map(|number| scope.spawn(move || write(number))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    });
    done?;
    let megabytes = (holders * BATCHES * batch.len()) as f64 / 1e6;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_of(std::process::id()) - cpu);
    Ok((megabytes / seconds, megabytes / (cpu / cores as f64).max(1e-3)))
}
