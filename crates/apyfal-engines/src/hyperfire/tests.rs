//! The engine against a plain reference, against sed and against its own software comparison.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use apyfal_core::{Cancel, Engine, Params, Progress};

use super::*;

/// xorshift64*: the same numbers on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Gives at most so many bytes at once.
struct Chunked<R>(R, usize);

impl<R: Read> Read for Chunked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(self.1);
        self.0.read(&mut buffer[..len])
    }
}

/// An output that stays readable.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn output(&self) -> Output {
        Output::stream(self.clone())
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Write for Shared {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn context(threads: usize) -> JobContext {
    JobContext::new(
        Cancel::default(),
        Arc::new(Progress::default()),
        "/nonexistent",
        NonZeroUsize::new(threads).unwrap(),
    )
}

fn session(corpus: &str, charset: Charset) -> HyperfireSession {
    let rules = Rules { charset, max_word: 100 };
    HyperfireSession::open(Input::bytes(corpus), rules, &context(1)).unwrap()
}

fn csv(pairs: &[(String, String)]) -> String {
    pairs.iter().fold(String::new(), |mut csv, (word, replacement)| {
        writeln!(csv, "{word},\"{}\"", replacement.replace('"', "\"\"")).unwrap();
        csv
    })
}

fn replace(session: &HyperfireSession, text: &[u8], threads: usize) -> (Vec<u8>, Count) {
    let output = Shared::default();
    let src = Input::bytes(text);
    let count = session.replace(src, output.output(), &context(threads)).unwrap();
    (output.take(), count)
}

/// The definition: one character after the other.
fn reference(pairs: &[(String, String)], charset: Charset, text: &[u8]) -> (Vec<u8>, Count) {
    let pairs: HashMap<&[u8], &[u8]> =
        pairs.iter().map(|(word, with)| (word.as_bytes(), with.as_bytes())).collect();
    let mut output = Vec::new();
    let mut count = Count::default();
    let mut at = 0;
    while at < text.len() {
        let start = at;
        loop {
            match charset.first_len(&text[at..]) {
                0 => break,
                len => at += len,
            }
        }
        if at == start {
            output.push(text[at]);
            at += 1;
            continue;
        }
        count.words += 1;
        let word = &text[start..at];
        count.replacements += u64::from(pairs.contains_key(word));
        output.extend_from_slice(pairs.get(word).unwrap_or(&word));
    }
    (output, count)
}

/// Words and pieces of words, of all lengths around those that are handled apart.
fn random_word(random: &mut Random, charset: Charset) -> String {
    let alphabet: &[char] = match charset {
        Charset::Ascii => &['a', 'b', 'Z', '0', '_'],
        Charset::Latin1 => &['a', 'Z', '_', '\u{c0}', '\u{ff}', '\u{e9}'],
    };
    let len = *random.pick(&[1, 1, 2, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40]);
    (0..len).map(|_| *random.pick(alphabet)).collect()
}

fn random_pairs(random: &mut Random, charset: Charset) -> Vec<(String, String)> {
    let mut pairs = BTreeMap::new();
    for _ in 0..random.below(80) {
        let with = match random.below(7) {
            0 => String::new(),
            1 => "a, \"b\" \\1 & / $&".to_owned(),
            2 => "-".repeat(random.below(200)),
            3 => "\u{d7}\u{e9}".to_owned(),
            _ => random_word(random, charset),
        };
        pairs.insert(random_word(random, charset), with);
    }
    pairs.into_iter().collect()
}

fn random_text(random: &mut Random, charset: Charset, pairs: &[(String, String)]) -> Vec<u8> {
    let odd: [&[u8]; 12] = [
        b"-",
        b" ",
        b"\n",
        b"\0",
        b"\xC3",
        b"\xC3\xC3",
        b"\x80",
        b"\xE9",
        b"\xC3\x97",
        b"\xC3\xB7",
        b"\xE2\x82\xAC",
        b"@[`{/:",
    ];
    let mut text = Vec::new();
    for _ in 0..random.below(400) {
        match random.below(8) {
            0..3 if !pairs.is_empty() => text.extend_from_slice(random.pick(pairs).0.as_bytes()),
            3 => text.extend_from_slice(random_word(random, charset).as_bytes()),
            4 if random.below(20) == 0 => text.extend_from_slice(&[b'a'; 300]),
            5 => text.extend_from_slice(random.pick::<&[u8]>(&odd)),
            _ => text.extend_from_slice(if random.below(3) == 0 { b", " } else { b" " }),
        }
    }
    text
}

#[test]
fn equal_to_the_definition_for_any_blocks_threads_and_reads() {
    let mut random = Random(1);
    for round in 0..300 {
        let charset = *random.pick(&[Charset::Ascii, Charset::Latin1]);
        let pairs = random_pairs(&mut random, charset);
        let text = random_text(&mut random, charset, &pairs);
        let expected = reference(&pairs, charset, &text);
        let mut session = session(&csv(&pairs), charset);
        for block in [1, 2, 3, 63, 64, 65, 1000, BLOCK] {
            session.block = block;
            let threads = 1 + random.below(4);
            let output = Shared::default();
            let src = Input::stream(Chunked(io::Cursor::new(text.clone()), 1 + random.below(90)));
            let count = session.replace(src, output.output(), &context(threads)).unwrap();
            assert!(
                (output.take(), count) == expected,
                "round {round}, {charset:?}, blocks of {block}, {threads} threads"
            );
        }
        let output = Shared::default();
        software::replace(&session.corpus, charset, text.as_slice(), output.clone()).unwrap();
        assert!(output.take() == expected.0, "software, round {round}, {charset:?}");
    }
}

#[test]
fn equal_to_sed() {
    let mut random = Random(2);
    for round in 0..20 {
        let mut pairs = random_pairs(&mut random, Charset::Ascii);
        for (index, (_, with)) in pairs.iter_mut().enumerate() {
            // Without word characters, as sed would find a word that it has just put there.
            *with = "+".repeat(index % 40) + ["", "\\ & /,\"", "$*.[]^\u{d7}"][index % 3];
        }
        let script = pairs.iter().fold(String::new(), |script, (word, with)| {
            let with = with.replace('\\', "\\\\").replace('&', "\\&").replace('/', "\\/");
            script + &format!("s/\\<{word}\\>/{with}/g\n")
        });
        let text = random_text(&mut random, Charset::Ascii, &pairs);
        let directory = tempfile::tempdir().unwrap();
        let (script_file, text_file) =
            (directory.path().join("script.sed"), directory.path().join("text"));
        std::fs::write(&script_file, script).unwrap();
        std::fs::write(&text_file, &text).unwrap();
        let sed = Command::new("sed")
            .env("LC_ALL", "C")
            .arg("-f")
            .args([&script_file, &text_file])
            .output()
            .expect("this test needs sed (apt-get install sed)");
        assert!(sed.status.success(), "{}", String::from_utf8_lossy(&sed.stderr));
        let mut session = session(&csv(&pairs), Charset::Ascii);
        session.block = 1 + random.below(300);
        let ours = replace(&session, &text, 2).0;
        assert!(ours == sed.stdout, "round {round}");
    }
}

#[test]
fn nothing_in_nothing_out() {
    for corpus in ["", "a,b\n"] {
        let session = session(corpus, Charset::Ascii);
        assert_eq!(replace(&session, b"", 2), (Vec::new(), Count::default()));
    }
    let session = session("", Charset::Ascii);
    let text: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    assert_eq!(replace(&session, &text, 2).0, text);
}

#[test]
fn words_between_stretches_of_any_length_without_one() {
    let pairs = [("a".to_owned(), "<first>".to_owned()), ("b".repeat(16), String::new())];
    let session = session(&csv(&pairs), Charset::Ascii);
    for len in 1..400 {
        let (gap, long) = ("-".repeat(len), "c".repeat(len));
        let text = format!("a{gap}{} {long}!a", "b".repeat(16)).repeat(3).into_bytes();
        let expected = reference(&pairs, Charset::Ascii, &text);
        assert!(replace(&session, &text, 1) == expected, "{len}");
    }
}

#[test]
fn a_million_words() {
    let mut corpus = String::new();
    let mut text = String::new();
    let mut expected = String::new();
    for number in 0..1_000_000 {
        writeln!(corpus, "identifier_{number},<{number}>").unwrap();
        // Every other one is there, the others are not.
        writeln!(text, "identifier_{}", number * 2).unwrap();
        if number < 500_000 {
            writeln!(expected, "<{}>", number * 2).unwrap();
        } else {
            writeln!(expected, "identifier_{}", number * 2).unwrap();
        }
    }
    let session = session(&corpus, Charset::Ascii);
    let (output, count) = replace(&session, text.as_bytes(), 2);
    assert_eq!(count, Count { words: 1_000_000, replacements: 500_000 });
    assert!(output == expected.as_bytes());
}

#[test]
fn a_run_without_end_is_one_word_and_is_not_kept() {
    const LEN: u64 = 100_000_000;
    /// Counts, checks and forgets.
    struct Expect(Arc<Mutex<u64>>);
    impl Write for Expect {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            assert!(buffer.iter().all(|byte| *byte == b'a'));
            assert!(buffer.len() <= 2 * BLOCK, "a block of {} bytes", buffer.len());
            *self.0.lock().unwrap() += buffer.len() as u64;
            Ok(buffer.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let session = session("a,b\naa,c\n", Charset::Ascii);
    let written = Arc::new(Mutex::new(0));
    let src = Input::stream(io::repeat(b'a').take(LEN));
    let count = session.replace(src, Output::stream(Expect(written.clone())), &context(2)).unwrap();
    assert_eq!(count, Count { words: 1, replacements: 0 });
    assert_eq!(*written.lock().unwrap(), LEN);
}

#[test]
fn long_replacements_make_small_blocks() {
    let long = "x".repeat(1 << 20);
    let session = session(&format!("a,{long}\n"), Charset::Ascii);
    assert!(session.block * long.len() <= MAX_OUTPUT);
    let (output, count) = replace(&session, b"a a b", 2);
    assert_eq!(count, Count { words: 3, replacements: 2 });
    assert_eq!(output, format!("{long} {long} b").as_bytes());
}

#[test]
fn the_engine_takes_its_parameters_and_reports() {
    let engine = engine();
    let given = json!({"charset": "latin1", "max_word": 40});
    let params =
        Params::check("hyperfire", &engine.accelerator().params, None, given.as_object().unwrap());
    let corpus = Input::bytes("été,summer\n").with_name("corpus.csv");
    let session =
        engine.open(Some(corpus), &params.unwrap(), &Path::new("/nonexistent"), &context(1));
    let session = session.unwrap();
    assert_eq!(session.started()["specific"]["words"], 1);
    let output = Shared::default();
    let job = || EngineJob {
        src: Some(Input::bytes("l'été étés")),
        dst: Some(output.output()),
        params: Params::default(),
    };
    let outcome = session.process(job(), &context(2)).unwrap();
    assert_eq!(output.take(), "l'summer étés".as_bytes());
    assert_eq!(outcome, Outcome::default().with("replacements", 1).with("words", 3));
    session.process_in_software(job(), &context(2)).unwrap().unwrap();
    assert_eq!(output.take(), "l'summer étés".as_bytes());
}

#[test]
fn a_bad_corpus_names_its_file_and_line() {
    let rules = Rules { charset: Charset::Ascii, max_word: 36 };
    let corpus = Input::bytes("a,b\nc\n").with_name("corpus.csv");
    let error = HyperfireSession::open(corpus, rules, &context(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the corpus 'corpus.csv': 1 column instead of 2 (line 2)"
    );
}

#[test]
fn a_cancelled_job_ends() {
    let session = session("a,b\n", Charset::Ascii);
    let context = context(2);
    context.cancel().cancel();
    let src = Input::stream(io::repeat(b'a'));
    let error = session.replace(src, Output::stream(io::sink()), &context).unwrap_err();
    assert!(error.is_cancelled());
}

#[test]
fn any_bytes_are_a_corpus_or_refused() {
    bolero::check!().with_iterations(2_000).with_max_len(512).for_each(|bytes: &[u8]| {
        for charset in [Charset::Ascii, Charset::Latin1] {
            match Corpus::read(bytes, Rules { charset, max_word: 36 }) {
                Ok(corpus) => {
                    for pair in corpus.pairs() {
                        let word = corpus.get(pair.word);
                        assert!((1..=36).contains(&word.len()), "{word:?}");
                    }
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}"),
            }
        }
    });
}
