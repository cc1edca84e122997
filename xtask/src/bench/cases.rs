//! Every engine and its peers.

use std::path::PathBuf;

use super::case::Case;
use super::check::Check;
use super::data::Data;

/// All jobs, in the order of the table.
pub(super) fn all(data: &Data) -> Vec<Case> {
    [gzip(data), gunzip(data), targz(data), sha3(data), hyperfire(data), jpegenc(data), trng(data)]
        .into_iter()
        .flatten()
        .collect()
}

fn gzip(data: &Data) -> Vec<Case> {
    let case = |name, line| Case::new(name, &data.text(), Check::Gzip, line);
    vec![
        case(
            "gzip fast",
            r#""$APYFAL" run gzip "$SRC" "$DST" --quiet --threads "$CORES" --level fast"#,
        )
        .parallel("igzip -1", r#"igzip -1 -T "$CORES" -c "$SRC" > "$DST""#)
        .peer("libdeflate-gzip -1", r#"libdeflate-gzip -1 -c "$SRC" > "$DST""#)
        .peer("zlib-rs 1", r#""$PEERS" peer zlib-gzip 1 "$SRC" "$DST""#)
        .parallel("pigz -1", r#"pigz -1 -p "$CORES" -c "$SRC" > "$DST""#)
        .peer("gzip -6", r#"gzip -6 -c "$SRC" > "$DST""#),
        case(
            "gzip default",
            r#""$APYFAL" run gzip "$SRC" "$DST" --quiet --threads "$CORES" --level default"#,
        )
        .parallel("igzip -3", r#"igzip -3 -T "$CORES" -c "$SRC" > "$DST""#)
        .parallel("pigz -6", r#"pigz -6 -p "$CORES" -c "$SRC" > "$DST""#)
        .peer("gzip -6", r#"gzip -6 -c "$SRC" > "$DST""#),
        case(
            "gzip best",
            r#""$APYFAL" run gzip "$SRC" "$DST" --quiet --threads "$CORES" --level best"#,
        )
        .peer("libdeflate-gzip -6", r#"libdeflate-gzip -6 -c "$SRC" > "$DST""#)
        .peer("zlib-rs 6", r#""$PEERS" peer zlib-gzip 6 "$SRC" "$DST""#),
        // How long a small job takes is mostly how long a process takes to start.
        Case::new(
            "gzip 1 KiB",
            &data.kibibyte(),
            Check::Gzip,
            r#""$APYFAL" run gzip "$SRC" "$DST" --quiet --threads "$CORES" --level default"#,
        )
        .peer("gzip -6", r#"gzip -6 -c "$SRC" > "$DST""#),
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
        .peer("libdeflate-gunzip", r#"libdeflate-gunzip -c < "$SRC" > "$DST""#)
        .peer("zlib-rs", r#""$PEERS" peer zlib-gunzip "$SRC" "$DST""#)
        .peer("gunzip", r#"gunzip -c < "$SRC" > "$DST""#)
    };
    vec![
        case("gunzip of gzip -6", r#"gzip -6 -c "$DATA"/text > "$DST""#),
        case("gunzip of ours", r#""$APYFAL" run gzip "$DATA"/text "$DST" --quiet"#),
    ]
}

fn targz(data: &Data) -> Vec<Case> {
    let check = Check::Tar { directory: data.tree(), bytes: data.bytes() };
    let case = Case::new(
        "targz",
        &data.tree(),
        check,
        r#""$APYFAL" run targz "$SRC" "$DST" --quiet --threads "$CORES""#,
    )
    .bytes(data.bytes())
    .parallel("tar | igzip -1", r#"tar -cf - -C "$DATA" tree | igzip -1 -T "$CORES" -c > "$DST""#)
    .parallel("tar | pigz -6", r#"tar -cf - -C "$DATA" tree | pigz -6 -p "$CORES" > "$DST""#);
    vec![case]
}

fn sha3(data: &Data) -> Vec<Case> {
    let case = Case::new(
        "sha3-256",
        &data.text(),
        Check::Digest,
        r#""$APYFAL" run sha3 "$SRC" --type sha3-256 --threads "$CORES" --json > "$DST""#,
    )
    .peer("openssl dgst", r#"openssl dgst -sha3-256 "$SRC" > "$DST""#)
    .peer("sha3 (crate)", r#""$PEERS" peer sha3 "$SRC" > "$DST""#);
    vec![case]
}

fn hyperfire(data: &Data) -> Vec<Case> {
    let case = Case::new(
        "hyperfire, 2500 words",
        &data.text(),
        Check::Agree,
        r#""$APYFAL" run hyperfire "$SRC" "$DST" --quiet --threads "$CORES" --start-src "$DATA"/corpus.csv"#,
    )
    .slow("sed, 64 KiB", &data.slice(), r#"sed -f "$DATA"/corpus.sed "$SRC" > "$DST""#)
    .peer("perl", r#"perl "$DATA"/corpus.pl "$DATA"/corpus.csv "$SRC" > "$DST""#)
    .peer("aho-corasick", r#""$PEERS" peer aho-corasick "$DATA"/corpus.csv "$SRC" "$DST""#)
    .peer("daachorse", r#""$PEERS" peer daachorse "$DATA"/corpus.csv "$SRC" "$DST""#)
    .peer("hashing tokenizer", r#""$PEERS" peer tokenizer "$DATA"/corpus.csv "$SRC" "$DST""#);
    let other = |name, src: PathBuf, ours, theirs| {
        Case::new(name, &src, Check::Agree, ours).peer("hashing tokenizer", theirs)
    };
    vec![
        case,
        other(
            "hyperfire, 10 words",
            data.text(),
            r#""$APYFAL" run hyperfire "$SRC" "$DST" --quiet --threads "$CORES" --start-src "$DATA"/corpus-10.csv"#,
            r#""$PEERS" peer tokenizer "$DATA"/corpus-10.csv "$SRC" "$DST""#,
        ),
        other(
            "hyperfire, 100,000 words",
            data.text(),
            r#""$APYFAL" run hyperfire "$SRC" "$DST" --quiet --threads "$CORES" --start-src "$DATA"/corpus-100000.csv"#,
            r#""$PEERS" peer tokenizer "$DATA"/corpus-100000.csv "$SRC" "$DST""#,
        ),
        other(
            "hyperfire, 400,000 words",
            data.text(),
            r#""$APYFAL" run hyperfire "$SRC" "$DST" --quiet --threads "$CORES" --start-src "$DATA"/corpus-400000.csv"#,
            r#""$PEERS" peer tokenizer "$DATA"/corpus-400000.csv "$SRC" "$DST""#,
        ),
        other(
            "hyperfire, words that never occur",
            data.text(),
            r#""$APYFAL" run hyperfire "$SRC" "$DST" --quiet --threads "$CORES" --start-src "$DATA"/corpus-never.csv"#,
            r#""$PEERS" peer tokenizer "$DATA"/corpus-never.csv "$SRC" "$DST""#,
        ),
        other(
            "hyperfire, lines without words",
            data.wordless(),
            r#""$APYFAL" run hyperfire "$SRC" "$DST" --quiet --threads "$CORES" --start-src "$DATA"/corpus.csv"#,
            r#""$PEERS" peer tokenizer "$DATA"/corpus.csv "$SRC" "$DST""#,
        ),
    ]
}

fn jpegenc(data: &Data) -> Vec<Case> {
    let case = Case::new(
        "jpegenc, quality 75",
        &data.picture(),
        Check::Picture,
        r#""$APYFAL" run jpegenc "$SRC" "$DST" --quiet --threads "$CORES" --quality 75"#,
    )
    .peer("cjpeg", r#"cjpeg -quality 75 -outfile "$DST" "$SRC""#)
    .peer("jpeg-encoder", r#""$PEERS" peer jpeg-encoder "$SRC" "$DST""#);
    let other = |name, src: PathBuf, ours, theirs| {
        Case::new(name, &src, Check::Picture, ours).peer("cjpeg", theirs)
    };
    vec![
        case,
        other(
            "jpegenc, 4:2:2",
            data.picture(),
            r#""$APYFAL" run jpegenc "$SRC" "$DST" --quiet --threads "$CORES" --subsampling 4:2:2"#,
            r#"cjpeg -quality 75 -sample 2x1 -outfile "$DST" "$SRC""#,
        ),
        other(
            "jpegenc, 4:4:4",
            data.picture(),
            r#""$APYFAL" run jpegenc "$SRC" "$DST" --quiet --threads "$CORES" --subsampling 4:4:4"#,
            r#"cjpeg -quality 75 -sample 1x1 -outfile "$DST" "$SRC""#,
        ),
        other(
            "jpegenc, 1920x1080",
            data.small_picture(),
            r#""$APYFAL" run jpegenc "$SRC" "$DST" --quiet --threads "$CORES" --quality 75"#,
            r#"cjpeg -quality 75 -outfile "$DST" "$SRC""#,
        ),
    ]
}

fn trng(data: &Data) -> Vec<Case> {
    let case = Case::new(
        "trng, drbg",
        &data.text(),
        Check::Length(data.bytes()),
        r#""$APYFAL" run trng "$DST" --quiet --threads "$CORES" --nbBytes "$(stat -c %s "$SRC")""#,
    )
    .peer("openssl rand", r#"openssl rand -out "$DST" "$(stat -c %s "$SRC")""#)
    .peer("chacha20", r#""$PEERS" peer chacha20 "$(stat -c %s "$SRC")" "$DST""#);
    vec![case]
}
