//! `hyperfire`: finds the words of a corpus in a text and replaces them.
//!
//! The text is cut into [blocks] that end between words; each block is [replaced](replace) in one
//! pass: [classify](charset) the bytes, find the edges of words, look each word up in the [table].

use std::io::{Read, Write};

use apyfal_core::{
    AcceleratorInfo, EngineJob, EngineSession, Error, ErrorKind, Input, JobContext, Need, Outcome,
    Output, ParamKind, ParamSpec, Result,
};
use serde_json::{Map, json};

use crate::cpu::{Cpu, Opening};
use crate::ordered;
use blocks::{Block, Blocks};
use charset::Charset;
use corpus::{Corpus, Rules};
use replace::{Count, Replacer};
use table::Table;

mod blocks;
mod charset;
mod corpus;
mod csv;
mod output;
mod replace;
mod software;
mod table;
#[cfg(test)]
mod tests;

/// How much text is worked on at once: it, its edges and its output fit the cache of a core.
const BLOCK: usize = 256 << 10;

/// How long a block's output may become. Only a corpus whose replacements are thousands of times
/// as long as their words needs smaller blocks for that.
const MAX_OUTPUT: usize = 4 << 20;

/// Sources of this many bytes take 100 µs at most, unless they become much longer.
const QUICK: usize = 4 << 10;

/// The engine.
pub(crate) fn engine() -> Cpu {
    let mut info = AcceleratorInfo::new("hyperfire", "Find whole words in a text and replace them");
    info.aliases = vec!["axonerve_hyperfire".into()];
    info.description =
        "The source of start is the corpus: a CSV file in which each line is a word and its \
         replacement, 'word,replacement', quoted as in RFC 4180. Each word may stand there \
         once. A line that is not right is an error that names it.\n\n\
         A word is a maximal run of A-Z, a-z, 0-9 and _; with charset=latin1 also of the \
         letters U+00C0 to U+00FF in UTF-8 (the signs U+00D7 and U+00F7 are no letters). Case \
         counts. Every word of the source that is in the corpus is replaced, in one pass: \
         replacements are taken as they are and not searched again. All other bytes stay as \
         they are.\n\n\
         The result tells how many 'words' the source has and how many 'replacements' were \
         made."
            .into();
    info.params = vec![
        ParamSpec::new(
            "charset",
            ParamKind::Choice(vec!["ascii".into(), "latin1".into()]),
            "The characters of words: ascii is A-Z, a-z, 0-9 and _; latin1 adds the letters \
             U+00C0 to U+00FF in UTF-8.",
        )
        .at_start()
        .default("ascii"),
        ParamSpec::new(
            "max_word",
            ParamKind::Bytes(1..=65_535),
            "The longest word that the corpus may have, in bytes.",
        )
        .at_start()
        .default(36),
    ];
    info.start_src = Need::Required;
    Cpu::new(info, open).quick_to(QUICK)
}

fn open(opening: Opening<'_>) -> Result<Box<dyn EngineSession>> {
    let Opening { src, params, ctx, .. } = opening;
    let (Some(src), Some(charset), Some(max_word)) = (
        src,
        params.text("charset").and_then(Charset::named),
        params.integer("max_word").and_then(|len| usize::try_from(len).ok()),
    ) else {
        return Err(Error::new(
            ErrorKind::Internal,
            "hyperfire was started without a corpus or checked parameters",
        ));
    };
    Ok(Box::new(HyperfireSession::open(src, Rules { charset, max_word }, ctx)?))
}

/// A corpus, ready to be searched for.
#[derive(Debug)]
struct HyperfireSession {
    charset: Charset,
    corpus: Corpus,
    table: Table,
    block: usize,
    expansion: usize,
}

impl HyperfireSession {
    fn open(src: Input, rules: Rules, ctx: &JobContext) -> Result<Self> {
        let operation = match src.name() {
            Some(name) => format!("read the corpus '{name}'"),
            None => "read the corpus".to_owned(),
        };
        let mut text = Vec::new();
        ctx.reader(src)?.read_to_end(&mut text)?;
        let read = Corpus::read(&text, rules).and_then(|corpus| {
            let table = Table::new(&corpus)?;
            Ok((corpus, table))
        });
        let (corpus, table) = read.map_err(|error| error.operation(operation))?;
        let expansion = corpus.expansion();
        let block = BLOCK.min(MAX_OUTPUT / expansion).max(1);
        Ok(Self { charset: rules.charset, corpus, table, block, expansion })
    }

    fn replace(&self, src: Input, dst: Output, ctx: &JobContext) -> Result<Count> {
        let mut size = self.block;
        if let (true, Some(len)) = (src.is_in_memory(), src.len()) {
            // A short text is done in less time than the memory for a whole block takes to be had.
            size = size.min(usize::try_from(len).map_or(size, |len| len + 1));
        }
        let reader = ctx.reader(src)?;
        let mut blocks = Blocks::new(reader, self.charset, self.table.longest(), size);
        let mut writer = ctx.writer(dst);
        let mut total = Count::default();
        ordered::run(
            ctx.threads(),
            || Replacer::new(&self.corpus, &self.table, self.charset),
            |block| blocks.read(block),
            |replacer, Block { text, in_word, output, count }| {
                *count = replacer.replace(text, *in_word, output);
                Ok(())
            },
            |block| {
                total += block.count;
                Ok(writer.write_all(block.output.as_slice())?)
            },
        )?;
        writer.flush()?;
        Ok(total)
    }
}

impl EngineSession for HyperfireSession {
    fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        let (src, dst) = ends(job)?;
        let count = self.replace(src, dst, ctx)?;
        Ok(Outcome::default().with("replacements", count.replacements).with("words", count.words))
    }

    fn process_in_software(&self, job: EngineJob, ctx: &JobContext) -> Option<Result<()>> {
        Some(ends(job).and_then(|(src, dst)| {
            software::replace(&self.corpus, self.charset, ctx.reader(src)?, ctx.writer(dst))
        }))
    }

    fn is_quick(&self, job: &EngineJob) -> bool {
        let len = job.src.as_ref().and_then(Input::len).unwrap_or(0);
        len.saturating_mul(self.expansion as u64) <= 4 * QUICK as u64
    }

    fn started(&self) -> Map<String, serde_json::Value> {
        let mut app = Map::new();
        app.insert("specific".to_owned(), json!({ "words": self.corpus.pairs().len() }));
        app
    }
}

fn ends(job: EngineJob) -> Result<(Input, Output)> {
    match (job.src, job.dst) {
        (Some(src), Some(dst)) => Ok((src, dst)),
        _ => {
            Err(Error::new(ErrorKind::Internal, "hyperfire was run without source or destination"))
        }
    }
}
