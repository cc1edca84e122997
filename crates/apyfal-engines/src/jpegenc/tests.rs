use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use apyfal_core::{Cancel, Engine, Input, Output, Params, Progress};
use apyfal_testkit::Kept;
use serde_json::{Value, json};

use super::*;

/// A picture like a photo: smooth colours, edges and noise, made from a seed.
fn photo(width: usize, height: usize) -> Vec<[u8; 3]> {
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    let mut pixels = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let (fx, fy) = (x as f64, y as f64);
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            let grain = (noise >> 60) as f64 - 7.5;
            let disc = (fx - 70.0).hypot(fy - 50.0) < 40.0;
            pixels.push([0.0, 1.0, 2.0].map(|c| {
                let smooth = 128.0 + 60.0 * (fx / 47.0 + c).sin() + 50.0 * (fy / 31.0 - c).cos();
                let edge = if disc { 70.0 * (c - 1.0) } else { 0.0 };
                (smooth + edge + 0.7 * grain) as u8
            }));
        }
    }
    pixels
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Core24,
    Info24,
    Info32,
    V4Rgbx,
    V5Bgrx,
    /// 24 bits with masks, as some writers tell the order of bytes.
    MasksBgr,
    MasksRgb,
}

/// A BMP file with these pixels, given row by row from the uppermost.
fn bmp(pixels: &[[u8; 3]], width: usize, top_down: bool, kind: Kind) -> Vec<u8> {
    let height = pixels.len() / width;
    let (size, depth, compression) = match kind {
        Kind::Core24 => (12_u32, 24_u16, 0_u32),
        Kind::Info24 => (40, 24, 0),
        Kind::Info32 => (40, 32, 0),
        Kind::V4Rgbx => (108, 32, 3),
        Kind::V5Bgrx => (124, 32, 3),
        Kind::MasksBgr | Kind::MasksRgb => (108, 24, 3),
    };
    let mut header = size.to_le_bytes().to_vec();
    if let Kind::Core24 = kind {
        header.extend((width as u16).to_le_bytes());
        header.extend((height as u16).to_le_bytes());
        header.extend([1, 0, 24, 0]);
    } else {
        header.extend((width as i32).to_le_bytes());
        header.extend((height as i32 * if top_down { -1 } else { 1 }).to_le_bytes());
        header.extend([1, 0]);
        header.extend(depth.to_le_bytes());
        header.extend(compression.to_le_bytes());
        header.resize(40, 0);
        match kind {
            Kind::V4Rgbx | Kind::MasksRgb => {
                header.extend([255, 0, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0])
            }
            Kind::V5Bgrx | Kind::MasksBgr => {
                header.extend([0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0])
            }
            _ => {}
        }
        header.resize(size as usize, 0);
    }
    let mut file = b"BM\0\0\0\0\0\0\0\0".to_vec();
    file.extend((14 + header.len() as u32).to_le_bytes());
    file.extend(header);
    let mut rows: Vec<_> = pixels.chunks(width).collect();
    if !top_down {
        rows.reverse();
    }
    for row in rows {
        for &[r, g, b] in row {
            match kind {
                Kind::Core24 | Kind::Info24 | Kind::MasksBgr => file.extend([b, g, r]),
                Kind::MasksRgb => file.extend([r, g, b]),
                Kind::Info32 | Kind::V5Bgrx => file.extend([b, g, r, 77]),
                Kind::V4Rgbx => file.extend([r, g, b, 77]),
            }
        }
        let written = file.len() - 14 - size as usize;
        file.resize(14 + size as usize + written.next_multiple_of(4), 0);
    }
    file
}

fn context(threads: usize) -> JobContext {
    let threads = NonZeroUsize::new(threads).unwrap();
    JobContext::new(Cancel::default(), Arc::<Progress>::default(), std::env::temp_dir(), threads)
}

fn encode(src: Input, parameters: &Value, context: &JobContext) -> Result<Vec<u8>> {
    let collected = Kept::default();
    let engine = engine();
    let specs = &engine.accelerator().params;
    let params = Params::check("jpegenc", specs, None, parameters.as_object().unwrap()).unwrap();
    let dst = Some(collected.output());
    JpegencSession.process(EngineJob { src: Some(src), dst, params }, context)?;
    Ok(collected.bytes())
}

fn run(command: &mut Command) -> Vec<u8> {
    let name = command.get_program().to_owned();
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{name:?} is needed to test: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{name:?}: {errors}");
    output.stdout
}

/// What libjpeg-turbo makes of a JPEG stream.
fn decode(jpeg: &[u8], directory: &Path) -> (usize, usize, Vec<u8>) {
    let path = directory.join("decode.jpg");
    std::fs::write(&path, jpeg).unwrap();
    let ppm = run(Command::new("djpeg").args(["-ppm"]).arg(&path));
    let mut fields = ppm.splitn(4, |byte| byte.is_ascii_whitespace());
    assert_eq!(fields.next().unwrap(), b"P6");
    let mut number =
        || std::str::from_utf8(fields.next().unwrap()).unwrap().parse::<usize>().unwrap();
    let (width, height) = (number(), number());
    let rest = fields.next().unwrap();
    let pixels = rest.strip_prefix(b"255\n").unwrap().to_vec();
    assert_eq!(pixels.len(), width * height * 3);
    (width, height, pixels)
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / squares.max(1e-9)).log10()
}

#[test]
fn as_good_and_small_as_libjpeg_turbo() {
    let directory = tempfile::tempdir().unwrap();
    let (width, height) = (237, 331);
    let pixels = photo(width, height);
    let file = bmp(&pixels, width, false, Kind::Info24);
    let path = directory.path().join("photo.bmp");
    std::fs::write(&path, &file).unwrap();
    for quality in [1, 25, 50, 75, 90, 100] {
        for subsampling in ["4:4:4", "4:2:2", "4:2:0"] {
            for optimize in [false, true] {
                let parameters =
                    json!({"quality": quality, "subsampling": subsampling, "optimize": optimize});
                let ours = encode(Input::bytes(file.clone()), &parameters, &context(2)).unwrap();
                let sample = match subsampling {
                    "4:4:4" => "1x1",
                    "4:2:2" => "2x1",
                    _ => "2x2",
                };
                let mut cjpeg = Command::new("cjpeg");
                cjpeg.args(["-quality", &quality.to_string(), "-sample", sample]);
                // Without it libjpeg leaves the baseline process at the lowest qualities.
                cjpeg.arg("-baseline").args(optimize.then_some("-optimize")).arg(&path);
                let theirs = run(&mut cjpeg);
                let (ours_size, theirs_size) = (ours.len() as f64, theirs.len() as f64);
                let decoded = decode(&ours, directory.path());
                assert_eq!((decoded.0, decoded.1), (width, height));
                let ours_psnr = psnr(&decoded.2, pixels.as_flattened());
                let theirs_psnr = psnr(&decode(&theirs, directory.path()).2, pixels.as_flattened());
                println!(
                    "{parameters}: {ours_psnr:.3} dB in {ours_size} bytes, libjpeg-turbo \
                     {theirs_psnr:.3} dB in {theirs_size}"
                );
                assert!(ours_psnr > theirs_psnr - 0.3, "{parameters}: {ours_psnr} {theirs_psnr}");
                assert!(ours_size < theirs_size * 1.03, "{parameters}: {ours_size} {theirs_size}");
            }
        }
    }
}

#[test]
fn every_kind_and_size_decodes_to_its_picture() {
    let directory = tempfile::tempdir().unwrap();
    for (width, height) in [(1, 1), (1, 70), (130, 1), (7, 9), (16, 16), (17, 65), (64, 129)] {
        let pixels = photo(width, height);
        for (kind, top_down) in [
            (Kind::Core24, false),
            (Kind::Info24, false),
            (Kind::Info24, true),
            (Kind::Info32, false),
            (Kind::Info32, true),
            (Kind::V4Rgbx, true),
            (Kind::V5Bgrx, false),
            (Kind::MasksBgr, false),
            (Kind::MasksRgb, false),
        ] {
            for optimize in [false, true] {
                let file = bmp(&pixels, width, top_down, kind);
                let parameters =
                    json!({"quality": 98, "subsampling": "4:4:4", "optimize": optimize});
                let jpeg = encode(Input::bytes(file), &parameters, &context(1)).unwrap();
                let decoded = decode(&jpeg, directory.path());
                assert_eq!((decoded.0, decoded.1), (width, height));
                let psnr = psnr(&decoded.2, pixels.as_flattened());
                assert!(psnr > 40.0, "{width} by {height} {kind:?} {top_down}: {psnr}");
            }
        }
    }
}

#[test]
fn bytes_do_not_depend_on_threads_or_on_how_the_image_comes() {
    let directory = tempfile::tempdir().unwrap();
    let file = bmp(&photo(100, 500), 100, false, Kind::Info24);
    let path = directory.path().join("photo.bmp");
    std::fs::write(&path, &file).unwrap();
    for optimize in [false, true] {
        let parameters = json!({"optimize": optimize});
        let expected = encode(Input::bytes(file.clone()), &parameters, &context(1)).unwrap();
        for threads in [1, 2, 5] {
            let context = context(threads);
            let src = Input::file(std::fs::File::open(&path).unwrap(), &path).unwrap();
            assert_eq!(encode(src, &parameters, &context).unwrap(), expected);
            assert_eq!(context.progress().total(), Some(file.len() as u64));
            assert!(context.progress().read() > file.len() as u64 * 9 / 10);
        }
        // What follows the pixels, such as a colour profile, does not matter.
        let longer = [file.as_slice(), &[1; 5000]].concat();
        assert_eq!(encode(Input::bytes(longer), &parameters, &context(2)).unwrap(), expected);
    }
}

#[test]
fn a_wide_image_and_a_long_stream() {
    // Over the limit of memory for a stream, and as wide as libjpeg can read.
    let directory = tempfile::tempdir().unwrap();
    let (width, height) = (65_500, 90);
    let pixels: Vec<_> =
        (0..width * height).map(|i| [(i >> 9) as u8, (i >> 5) as u8, 90]).collect();
    let file = bmp(&pixels, width, false, Kind::Info24);
    assert!(file.len() > source::MAX_IN_MEMORY);
    let parameters = json!({"subsampling": "4:4:4", "quality": 90});
    let jpeg = encode(Input::bytes(file), &parameters, &context(2)).unwrap();
    let decoded = decode(&jpeg, directory.path());
    assert_eq!((decoded.0, decoded.1), (width, height));
    assert!(psnr(&decoded.2, pixels.as_flattened()) > 40.0);
}

#[test]
fn truncated_and_absurd_images_are_refused() {
    let file = bmp(&photo(20, 30), 20, false, Kind::Info24);
    for len in [0, 1, 2, 13, 20, 53, 54, 100, file.len() - 1] {
        let error = encode(Input::bytes(&file[..len]), &json!({}), &context(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{len} bytes: {error}");
    }
    // A few bytes that claim four thousand million pixels, or pixels far behind their end.
    let mut claims = file.clone();
    claims[18..26].copy_from_slice(&[255, 255, 0, 0, 255, 255, 0, 0]);
    let mut far = file.clone();
    far[10..14].copy_from_slice(&u32::MAX.to_le_bytes());
    for bytes in [claims, far] {
        let error = encode(Input::bytes(bytes), &json!({}), &context(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.message().contains("needs"), "{error}");
    }
}

#[test]
fn a_failing_destination_is_an_error() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let file = bmp(&photo(100, 500), 100, false, Kind::Info24);
    let job = EngineJob {
        src: Some(Input::bytes(file)),
        dst: Some(Output::stream(Full)),
        params: Params::default(),
    };
    let error = JpegencSession.process(job, &context(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}

#[test]
fn ends_when_cancelled() {
    let context = context(2);
    context.cancel().cancel();
    let file = bmp(&photo(100, 500), 100, false, Kind::Info24);
    assert!(encode(Input::bytes(file), &json!({}), &context).unwrap_err().is_cancelled());
}

#[test]
fn any_bytes_are_a_bitmap_or_refused() {
    bolero::check!().with_iterations(2_000).with_max_len(160).for_each(|bytes: &[u8]| {
        match bmp::Bmp::parse(bytes) {
            Ok(bmp) => {
                let (offset, len) = bmp.place(0, bmp.height);
                assert!(offset + len as u64 <= bmp.end());
                assert!(bmp.format.order.iter().all(|byte| *byte < bmp.format.bytes));
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}"),
        }
    });
}
