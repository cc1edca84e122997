//! What is compressed comes back from a decoder of others, and is the same whatever the processor can.

use std::io::Read;

use super::*;

const LEVELS: [Level; 2] = [Level::Fast, Level::Default];

/// Compresses with each set of instructions that there is, has it decompressed, and answers the size.
fn round_trip(level: Level, source: &[u8]) -> usize {
    let mut plain = b"before".to_vec();
    let mut compressor = Compressor::with_path(level, Path::Plain);
    compressor.compress(source, &mut plain);
    let deflated = &plain[b"before".len()..];
    let mut back = Vec::with_capacity(source.len());
    let mut rest = deflated;
    let mut decoder = flate2::bufread::DeflateDecoder::new(&mut rest);
    decoder.read_to_end(&mut back).unwrap();
    assert!(back == source, "{level:?} changed {} bytes", source.len());
    assert!(rest.is_empty());
    assert!(deflated.len() <= source.len() + source.len() / 1024 + 64);

    let mut quick = b"before".to_vec();
    Compressor::with_path(level, Path::best()).compress(source, &mut quick);
    assert!(
        plain == quick,
        "{level:?} made other bytes of {} with other instructions",
        source.len()
    );
    // Nothing stays of one source when the next one comes.
    quick.clear();
    compressor.compress(source, &mut quick);
    assert!(plain[b"before".len()..] == quick, "{level:?} made other bytes the second time");
    quick.len()
}

/// A source of what a few bytes tell to do: bytes of their own, noise, runs, and what stood before.
fn grown(recipe: &[u8]) -> Vec<u8> {
    let mut source: Vec<u8> = Vec::new();
    let mut noise = 1_u32;
    for step in recipe.chunks(4) {
        let &[what, a, b, c] = step else {
            source.extend(step);
            continue;
        };
        let number = usize::from(a) << 8 | usize::from(b);
        match what % 8 {
            0..3 => source.extend([a, b, c]),
            3 => source.extend(std::iter::repeat_n(a, number)),
            4 => source.extend((0..4 * number).map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                (noise >> 24) as u8 & c
            })),
            _ if !source.is_empty() => {
                let back = 1 + (number << (what >> 7)) % source.len();
                let start = source.len() - back;
                (0..2 * usize::from(c)).for_each(|at| source.push(source[start + at]));
            }
            _ => {}
        }
        source.truncate(700_000);
    }
    source
}

#[test]
fn any_source_comes_back() {
    bolero::check!().with_iterations(500).with_max_len(512).for_each(|recipe: &[u8]| {
        let source = grown(recipe);
        for level in LEVELS {
            round_trip(level, recipe);
            round_trip(level, &source);
        }
    });
}

#[test]
fn stretches_of_both_kinds_are_each_in_their_form() {
    let noise = grown(&[4, 255, 255, 255, 4, 255, 255, 255]);
    for level in LEVELS {
        for zeros in [5_000, 60_000, 100_000, 700_000] {
            let source = [&vec![0; zeros][..], &noise[..20_000]].concat();
            assert!(round_trip(level, &source) < 22_000, "behind {zeros} zeros");
        }
        let parts = noise.chunks(8 << 10).take(16);
        let mixed: Vec<u8> = parts.flat_map(|part| [part, &[0; 56 << 10]].concat()).collect();
        assert!(round_trip(level, &mixed) < 145_000);
    }
}

#[test]
fn every_length_comes_back() {
    let text = include_bytes!("lane.rs");
    for level in LEVELS {
        for len in (0..700).chain(CHUNK - 300..CHUNK + 300) {
            round_trip(level, &text[..len]);
            round_trip(level, &text[len..2 * len]);
            round_trip(level, &vec![7; len]);
        }
    }
}

#[test]
fn parts_of_large_sources_come_back() {
    let text = include_str!("lane.rs").repeat(200);
    let mut mixed = grown(&[4, 200, 0, 255, 4, 200, 0, 255, 4, 200, 0, 255]);
    mixed.extend(text.as_bytes());
    mixed.extend_from_within(..300_000);
    for level in LEVELS {
        for len in [LONG - 1, LONG, LONG + 1, LONG + CHUNK + 1, 1 << 20] {
            for source in [text.as_bytes(), &mixed, &vec![0; 1 << 20]] {
                round_trip(level, &source[..len]);
                round_trip(level, &source[source.len() - len..]);
            }
        }
    }
}

#[test]
fn what_cannot_be_compressed_hardly_grows() {
    let noise = grown(&[4, 255, 255, 255, 4, 255, 255, 255]);
    assert!(noise.len() > 500_000);
    for level in LEVELS {
        for len in [1, 100, 5_000, 100_000, noise.len()] {
            assert!(round_trip(level, &noise[..len]) <= len + 5 + 20 * (len / 16_384));
        }
    }
}

#[test]
fn what_repeats_is_as_small_as_it_can_be() {
    for level in LEVELS {
        // A match of 258 bytes takes two bits at least.
        assert!(round_trip(level, &vec![0; 1 << 20]) < 1_200);
        assert!(round_trip(level, b"") <= 5);
        assert!(round_trip(level, &b"0123456789".repeat(1_000)) < 100);
    }
}

#[test]
fn trying_harder_pays() {
    let text =
        [include_str!("lane.rs"), include_str!("block.rs"), include_str!("tests.rs")].concat();
    let sizes = LEVELS.map(|level| round_trip(level, text.as_bytes()));
    assert!(sizes[1] < sizes[0], "{sizes:?}");
    assert!(2 * sizes[0] < text.len(), "{sizes:?}");
}
