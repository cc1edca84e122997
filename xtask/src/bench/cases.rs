//! Every engine and its peers.

use super::case::Case;
use super::check::Check;
use super::data::Data;
use super::row::Goal;

/// All jobs, in the order of the table.
pub(super) fn all(data: &Data) -> Vec<Case> {
    [
        gzip(data),
        gunzip(data),
        targz(data),
        sha3(data),
        hyperfire(data),
        jpegenc(data),
        trng(data),
        map(data),
        start(data),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A line that compresses the source at a level.
macro_rules! gzip {
    ($level:literal) => {
        concat!(r#""$APYFAL" run gzip "$SRC" "$DST" --quiet --threads "$CORES" --level "#, $level)
    };
}

fn gzip(data: &Data) -> Vec<Case> {
    let case = |name, line| Case::new(name, &data.text(), Check::Gzip, line);
    vec![
        case("gzip fast", gzip!("fast"))
            .parallel("igzip -1", r#"igzip -1 -T "$CORES" -c "$SRC" > "$DST""#)
            .goal(1, Goal::Speed(1.0))
            .peer("libdeflate-gzip -1", r#"libdeflate-gzip -1 -c "$SRC" > "$DST""#)
            .peer("zlib-rs 1", r#""$PEERS" peer zlib-gzip 1 "$SRC" "$DST""#)
            .parallel("pigz -1", r#"pigz -1 -p "$CORES" -c "$SRC" > "$DST""#)
            .parallel("gzip -6", r#"gzip -6 -c "$SRC" > "$DST""#)
            .goal(2, Goal::Speed(25.0))
            .second_core(Goal::Speed(1.9)),
        case("gzip default", gzip!("default"))
            .parallel("igzip -3", r#"igzip -3 -T "$CORES" -c "$SRC" > "$DST""#)
            .goal(1, Goal::Speed(1.0))
            .parallel("pigz -6", r#"pigz -6 -p "$CORES" -c "$SRC" > "$DST""#)
            .peer("gzip -6", r#"gzip -6 -c "$SRC" > "$DST""#),
        case("gzip best", gzip!("best"))
            .peer("libdeflate-gzip -6", r#"libdeflate-gzip -6 -c "$SRC" > "$DST""#)
            .goal(1, Goal::Speed(1.05))
            .peer("zlib-rs 6", r#""$PEERS" peer zlib-gzip 6 "$SRC" "$DST""#),
    ]
}

fn gunzip(data: &Data) -> Vec<Case> {
    let case = |name, make| {
        Case::new(
            name,
            &data.prepared(),
            Check::Equal(data.text()),
            r#""$APYFAL" run gunzip "$SRC" "$DST" --quiet --threads "$CORES""#,
        )
        .bytes(data.bytes())
        .prepare(make)
        .peer("igzip -d", r#"igzip -d -c "$SRC" > "$DST""#)
        .goal(1, Goal::Speed(1.0))
        .peer("libdeflate-gunzip", r#"libdeflate-gunzip -c < "$SRC" > "$DST""#)
        .peer("zlib-rs", r#""$PEERS" peer zlib-gunzip "$SRC" "$DST""#)
        .peer("gunzip", r#"gunzip -c < "$SRC" > "$DST""#)
    };
    vec![
        case("gunzip of gzip -6", r#"gzip -6 -c "$DATA"/text > "$DST""#),
        case("gunzip of ours", r#""$APYFAL" run gzip "$DATA"/text "$DST" --quiet"#)
            .second_core(Goal::Speed(1.7)),
    ]
}

/// Two lists of files of the tree, as long as one another: the next largest goes to the shorter.
const HALVES: &str = r#"cd "$DATA" && find tree -type f -printf '%s %p\n' | sort -rn |
    awk '{ half = bytes[0] > bytes[1]; bytes[half] += $1; print $2 > "half." half }'"#;

/// igzip uses one core, so it is given two halves, whose results are joined.
const IGZIP_OF_HALVES: &str = r#"for half in 0 1
    do tar -cf - -C "$DATA" -T "$DATA"/half.$half | igzip -1 -c > "$DST".$half & done; wait
    cat "$DST".1 >> "$DST".0 && mv "$DST".0 "$DST""#;

fn targz(data: &Data) -> Vec<Case> {
    let check = Check::Tar { directory: data.tree(), bytes: data.bytes() };
    let case = Case::new(
        "targz",
        &data.tree(),
        check,
        r#""$APYFAL" run targz "$SRC" "$DST" --quiet --threads "$CORES""#,
    )
    .bytes(data.bytes())
    .prepare(HALVES)
    .parallel("tar | igzip -1", r#"tar -cf - -C "$DATA" tree | igzip -1 -T "$CORES" -c > "$DST""#)
    .on_two("tar | igzip -1, of two halves", IGZIP_OF_HALVES)
    .goal(2, Goal::Speed(1.15))
    .parallel("tar | pigz -6", r#"tar -cf - -C "$DATA" tree | pigz -6 -p "$CORES" > "$DST""#);
    vec![case]
}

fn sha3(data: &Data) -> Vec<Case> {
    const ONE: &str =
        r#""$APYFAL" run sha3 "$SRC" --type sha3-256 --threads "$CORES" --json > "$DST""#;
    vec![
        Case::new("sha3-256", &data.text(), Check::Digests, ONE)
            .peer("openssl dgst", r#"openssl dgst -sha3-256 "$SRC" > "$DST""#)
            .goal(1, Goal::Speed(1.25))
            .peer("sha3 (crate)", r#""$PEERS" peer sha3 "$SRC" > "$DST""#),
        Case::new(
            "sha3-256, eight messages",
            &data.prepared(),
            Check::Digests,
            r#""$APYFAL" run sha3 $(find "$SRC" -type f | sort) --type sha3-256 --threads "$CORES" --json > "$DST""#,
        )
        .bytes(data.bytes())
        .prepare(r#"mkdir "$DST" && split -n 8 "$DATA"/text "$DST"/"#)
        .peer("itself, one message", ONE)
        .reads(&data.text())
        .goal(1, Goal::Speed(5.0))
        .peer(
            "openssl dgst",
            r#"openssl dgst -sha3-256 $(find "$SRC" -type f | sort) > "$DST""#,
        )
        .second_core(Goal::Speed(1.9)),
    ]
}

/// A job with a corpus, beside a tokenizer with the same.
macro_rules! hyperfire {
    ($name:literal, $src:expr, $corpus:literal) => {
        Case::new(
            concat!("hyperfire, ", $name),
            &$src,
            Check::Agree,
            concat!(
                r#""$APYFAL" run hyperfire "$SRC" "$DST" --quiet --threads "$CORES" --start-src "$DATA"/"#,
                $corpus
            ),
        )
        .peer(
            "hashing tokenizer",
            concat!(r#""$PEERS" peer tokenizer "$DATA"/"#, $corpus, r#" "$SRC" "$DST""#),
        )
        .goal(1, Goal::Speed(2.0))
    };
}

fn hyperfire(data: &Data) -> Vec<Case> {
    vec![
        hyperfire!("2500 words", data.text(), "corpus.csv")
            .parallel("sed, 64 KiB", r#"sed -f "$DATA"/corpus.sed "$SRC" > "$DST""#)
            .reads(&data.slice())
            .goal(2, Goal::Speed(25_000.0))
            .peer("perl", r#"perl "$DATA"/corpus.pl "$DATA"/corpus.csv "$SRC" > "$DST""#)
            .peer("aho-corasick", r#""$PEERS" peer aho-corasick "$DATA"/corpus.csv "$SRC" "$DST""#)
            .peer("daachorse", r#""$PEERS" peer daachorse "$DATA"/corpus.csv "$SRC" "$DST""#)
            .goal(1, Goal::Speed(4.0)),
        hyperfire!("10 words", data.text(), "corpus-10.csv"),
        hyperfire!("100,000 words", data.text(), "corpus-100000.csv"),
        hyperfire!("400,000 words", data.text(), "corpus-400000.csv"),
        hyperfire!("words that never occur", data.text(), "corpus-never.csv"),
        hyperfire!("lines without words", data.wordless(), "corpus.csv"),
    ]
}

/// A picture at quality 75 with a kind of subsampling, as we call it and as `cjpeg` does.
macro_rules! jpegenc {
    ($data:expr, $name:literal, $src:literal, $like:literal, $subsampling:literal, $samples:literal) => {
        Case::new(
            concat!("jpegenc, ", $name, ", ", $subsampling),
            &$data.picture($src),
            Check::Picture($data.picture($like)),
            concat!(
                r#""$APYFAL" run jpegenc "$SRC" "$DST" --quiet --threads "$CORES" --quality 75 --subsampling "#,
                $subsampling
            ),
        )
        .parallel(
            "cjpeg",
            concat!("cjpeg -quality 75 -sample ", $samples, r#" -outfile "$DST" "$SRC""#),
        )
        .goal(1, Goal::Speed(1.3))
        .goal(1, Goal::Speed(1.75))
        .goal(2, Goal::Speed(1.3))
    };
}

fn jpegenc(data: &Data) -> Vec<Case> {
    vec![
        jpegenc!(data, "7680x4320", "8k.bmp", "8k.bmp", "4:2:0", "2x2")
            .peer("jpeg-encoder", r#""$PEERS" peer jpeg-encoder "$SRC" "$DST""#),
        jpegenc!(data, "7680x4320", "8k.bmp", "8k.bmp", "4:2:2", "2x1"),
        jpegenc!(data, "7680x4320", "8k.bmp", "8k.bmp", "4:4:4", "1x1"),
        jpegenc!(data, "3840x2160", "4k.bmp", "4k.bmp", "4:2:0", "2x2"),
        jpegenc!(data, "3840x2160", "4k.bmp", "4k.bmp", "4:2:2", "2x1"),
        jpegenc!(data, "3840x2160", "4k.bmp", "4k.bmp", "4:4:4", "1x1"),
        jpegenc!(data, "3840x2160, 32 bits", "4k-32.bmp", "4k.bmp", "4:2:0", "2x2"),
        jpegenc!(data, "1920x1080", "1080p.bmp", "1080p.bmp", "4:2:0", "2x2"),
        jpegenc!(data, "1920x1080", "1080p.bmp", "1080p.bmp", "4:2:2", "2x1"),
        jpegenc!(data, "1920x1080", "1080p.bmp", "1080p.bmp", "4:4:4", "1x1"),
        jpegenc!(data, "1920x1080, 32 bits", "1080p-32.bmp", "1080p.bmp", "4:2:0", "2x2"),
    ]
}

fn trng(data: &Data) -> Vec<Case> {
    const RAW_BYTES: u64 = 2_000_000;
    vec![
        Case::new(
            "trng, drbg",
            &data.text(),
            Check::Length(data.bytes()),
            r#""$APYFAL" run trng "$DST" --quiet --threads "$CORES" --nbBytes "$(stat -c %s "$SRC")""#,
        )
        .peer("openssl rand", r#"openssl rand -out "$DST" "$(stat -c %s "$SRC")""#)
        .goal(1, Goal::Speed(1.9))
        .peer("chacha20", r#""$PEERS" peer chacha20 "$(stat -c %s "$SRC")" "$DST""#),
        Case::new(
            "trng, raw",
            &data.text(),
            Check::Length(RAW_BYTES),
            r#""$APYFAL" run trng "$DST" --quiet --threads "$CORES" --source raw --nbBytes 2MB"#,
        )
        .bytes(RAW_BYTES)
        .prepare(r#"cc -O2 -mrdseed -o "$DST" "$PROGRAMS"/rdseed.c"#)
        .peer("a loop over RDSEED", r#""$DATA"/prepared 2000000 "$DST""#)
        .goal(1, Goal::Speed(0.9)),
    ]
}

fn map(data: &Data) -> Vec<Case> {
    const OURS: &str = r#""$APYFAL" map gzip "$SRC" "$DST" --quiet --threads "$CORES""#;
    let case = |name, count| Case::new(name, &data.files(count), Check::Files, OURS);
    vec![
        case("map gzip, 10,000 files of 1 KiB", 10_000)
            .files(&[10_000])
            .parallel("find | xargs gzip", r#"find "$DST" -type f | xargs -P "$CORES" gzip -k"#)
            .in_place()
            .goal(2, Goal::Speed(5.0))
            .on_two("find | xargs -n1 gzip", r#"find "$DST" -type f | xargs -n1 -P2 gzip -k"#)
            .in_place()
            .parallel("find | xargs pigz", r#"find "$DST" -type f | xargs pigz -k -p "$CORES""#)
            .in_place()
            .goal(1, Goal::Speed(1.0))
            .goal(2, Goal::Speed(1.0)),
        case("map gzip, 100,000 files of 1 KiB", 100_000)
            .files(&[10_000, 100_000])
            .on(&[2])
            .on_two("itself, 10,000 files", OURS)
            .reads(&data.files(10_000))
            .goal(2, Goal::Speed(0.95))
            .goal(2, Goal::Memory(1.1)),
    ]
}

/// Jobs so small that how long they take is mostly how long a process takes to start.
fn start(data: &Data) -> Vec<Case> {
    let gzip = |name, src| {
        Case::new(name, src, Check::Gzip, r#""$APYFAL" run gzip "$SRC" "$DST" --quiet"#)
            .starts()
            .peer("gzip -6", r#"gzip -6 -c "$SRC" > "$DST""#)
    };
    let igzip = |case: Case| case.peer("igzip -3", r#"igzip -3 -c "$SRC" > "$DST""#);
    vec![
        Case::new("start, --version", &data.kibibyte(), Check::Nothing, r#""$APYFAL" --version"#)
            .starts()
            .prepare(r#"cc -O2 -static -o "$DST" "$PROGRAMS"/line.c"#)
            .peer("a static program", r#""$DATA"/prepared"#)
            .goal(1, Goal::Speed(1.0 / 1.2)),
        igzip(gzip("start, gzip 1 KiB", &data.kibibyte()).goal(1, Goal::Speed(0.95))),
        igzip(gzip("start, gzip 16 KiB", &data.small_slice()).goal(1, Goal::Speed(1.0))),
        igzip(gzip("start, gzip 64 KiB", &data.slice()).goal(1, Goal::Speed(1.0))),
    ]
}
