//! A picture like a photograph: smooth areas, edges, texture and the noise of a sensor.

use std::io::Write;

use anyhow::Result;

/// The length of the two headers of a BMP file.
pub(super) const HEADER: usize = 54;

/// Writes a BMP of 24 or 32 bits, bottom-up. `width` is a multiple of 4, so rows need no padding.
pub(super) fn write(mut file: impl Write, width: u32, height: u32, bits: u32) -> Result<()> {
    let bytes = width * height * bits / 8;
    file.write_all(b"BM")?;
    for field in [bytes + HEADER as u32, 0, HEADER as u32, 40, width, height, bits << 16 | 1, 0] {
        file.write_all(&field.to_le_bytes())?;
    }
    for field in [bytes, 2835, 2835, 0, 0] {
        file.write_all(&field.to_le_bytes())?;
    }
    let mut row = Vec::with_capacity((width * bits / 8) as usize);
    for y in 0..height {
        row.clear();
        for x in 0..width {
            row.extend_from_slice(&pixel(x, y));
            row.resize((x + 1) as usize * bits as usize / 8, 0);
        }
        file.write_all(&row)?;
    }
    Ok(())
}

fn pixel(x: u32, y: u32) -> [u8; 3] {
    // Each octave has half the size and two thirds of the amplitude, as nature has.
    let mut light = 0.0;
    let mut tint = 0.0;
    let mut weight = 70.0;
    for octave in (0..8).rev() {
        let size = 1 << (octave + 1);
        light += weight * smooth_noise(x, y, size, octave);
        if octave > 4 {
            tint += weight * 0.6 * smooth_noise(x, y, size, octave + 50);
        }
        weight *= 0.62;
    }
    // Surfaces with edges between them.
    let surface = smooth_noise(x, y, 256, 99);
    let step = if surface > 0.1 {
        35.0
    } else if surface < -0.15 {
        -30.0
    } else {
        0.0
    };
    let noise = |channel: u32| (hash(x, y, 200 + channel) - 0.5) * 8.0;
    let level = 125.0 + light + step;
    [level - tint + noise(0), level + noise(1), level + tint + noise(2)]
        .map(|value| value.clamp(0.0, 255.0) as u8)
}

/// Noise from -1 to 1 whose waves are `size` pixels long.
fn smooth_noise(x: u32, y: u32, size: u32, seed: u32) -> f32 {
    let (column, row) = (x / size, y / size);
    let ease = |part: u32| {
        let part = part as f32 / size as f32;
        part * part * (3.0 - 2.0 * part)
    };
    let (right, up) = (ease(x % size), ease(y % size));
    let at = |dx, dy| hash(column + dx, row + dy, seed);
    let low = at(0, 0) + (at(1, 0) - at(0, 0)) * right;
    let high = at(0, 1) + (at(1, 1) - at(0, 1)) * right;
    (low + (high - low) * up) * 2.0 - 1.0
}

/// A number from 0 to 1 that looks random.
fn hash(x: u32, y: u32, seed: u32) -> f32 {
    let mut hash =
        x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77) ^ seed.wrapping_mul(0xC2B2_AE3D);
    hash = (hash ^ hash >> 15).wrapping_mul(0x2C1B_3C6D);
    hash = (hash ^ hash >> 12).wrapping_mul(0x297A_2D39);
    (hash ^ hash >> 15) as f32 / u32::MAX as f32
}
