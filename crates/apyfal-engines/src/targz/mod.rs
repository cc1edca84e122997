//! `targz`: archives and compresses, in one call or in a transaction of several.

use std::ffi::OsString;
use std::io::{Seek, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use apyfal_core::{
    AcceleratorInfo, EngineJob, EngineSession, Error, ErrorKind, FileId, Input, JobContext, Need,
    Outcome, Output, OutputWriter, ParamKind, ParamSpec, Params, Result, Source,
};
use flate2::write::GzEncoder;

use crate::copy::copy;
use crate::cpu::{Cpu, Opening};
use crate::gzip;
use crate::gzip_level::Level;

mod header;
mod member;
mod stream;
#[cfg(test)]
mod tests;
mod transaction;

use member::Member;
use stream::TarStream;
use transaction::Transaction;

/// The engine.
pub(crate) fn engine() -> Cpu {
    let mut info =
        AcceleratorInfo::new("targz", "Archive files and directories, and compress them");
    info.aliases = vec!["aclz_tgz".into(), "tar.gz".into(), "tgz".into()];
    info.description = "A call that sets neither startOfTx nor endOfTx, or both, makes a whole \
         archive of its source, which may be a directory: with its links, modes and times, in \
         the order of its names; owners are stored as numbers, and sockets are left out.\n\n\
         Else startOfTx opens a transaction that belongs to the session, each call adds its \
         source, and the call with endOfTx, which may have a source too, takes the destination. \
         What a call added stays added, whatever happens between the calls; a call that fails \
         adds nothing. An archive that was lost on its way can be had once more with 'again', \
         until the next transaction starts or the session is stopped.\n\n\
         A member is called 'name', else as its source, else member-1 and so on."
        .into();
    info.params = vec![
        ParamSpec::new(
            "mode",
            ParamKind::Integer(1..=3),
            "1 compresses each source, one behind the other; 2 archives; 3 does both",
        )
        .at_start()
        .default(3),
        ParamSpec::new(
            "level",
            ParamKind::Choice(Level::CHOICES.map(Into::into).to_vec()),
            Level::HELP,
        )
        .default("default"),
        ParamSpec::new("startOfTx", ParamKind::Bool, "Opens a transaction").default(false),
        ParamSpec::new("endOfTx", ParamKind::Bool, "Ends the transaction").default(false),
        ParamSpec::new("name", ParamKind::Text, "What the source is called in the archive"),
        ParamSpec::new("again", ParamKind::Bool, "Gives the archive that ended last again")
            .default(false),
    ];
    info.src = Need::Optional;
    info.dst = Need::Optional;
    info.rerun_safe = false;
    Cpu::new(info, open)
}

fn open(opening: Opening<'_>) -> Result<Box<dyn EngineSession>> {
    let state = opening.state.path()?.to_owned();
    Ok(Box::new(TargzSession { mode: Mode::of(opening.params), state }))
}

/// What is done with the sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Gzip,
    Tar,
    TarGzip,
}

impl Mode {
    fn of(params: &Params) -> Self {
        match params.integer("mode") {
            Some(1) => Self::Gzip,
            Some(2) => Self::Tar,
            _ => Self::TarGzip,
        }
    }
}

#[derive(Debug)]
struct TargzSession {
    mode: Mode,
    state: PathBuf,
}

impl EngineSession for TargzSession {
    fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        let (start, end) = (job.params.flag("startOfTx"), job.params.flag("endOfTx"));
        let mut transaction = Transaction::lock(&self.state, ctx)?;
        if job.params.flag("again") {
            return self.again(&mut transaction, job, ctx);
        }
        match (transaction.is_open(), start, end) {
            (true, true, _) => {
                Err(Error::new(ErrorKind::Conflict, "a transaction is open in this session")
                    .hint("end it with endOfTx=1, or stop the session to discard it"))
            }
            (false, false, true) => {
                let error =
                    Error::new(ErrorKind::Conflict, "no transaction is open in this session")
                        .hint("open one with startOfTx=1");
                Err(if transaction.has_ended() {
                    error.hint("the archive that ended last can be had once more with again=1")
                } else {
                    error
                })
            }
            (false, true, true) | (false, false, false) => {
                // Nothing is kept, so others need not wait.
                drop(transaction);
                self.whole(job, ctx)
            }
            (_, _, true) => self.end(&mut transaction, job, ctx),
            (_, start, false) => self.add(&mut transaction, start, job, ctx),
        }
    }

    /// A whole `tar.gz` of a source that tells its length; the rest has no plain counterpart.
    fn process_in_software(&self, job: EngineJob, ctx: &JobContext) -> Option<Result<()>> {
        let flag = |name| job.params.flag(name);
        if self.mode != Mode::TarGzip || flag("startOfTx") != flag("endOfTx") || flag("again") {
            return None;
        }
        let (src, dst) = (job.src?, job.dst?);
        let mut header = tar::Header::new_gnu();
        header.set_size(src.len()?);
        header.set_mode(0o644);
        Some(member_name(&src, job.params.text("name"), 0).and_then(|name| {
            let level = gzip::Settings::anonymous(&job.params)?.level.into();
            let mut archive = tar::Builder::new(GzEncoder::new(ctx.writer(dst), level));
            archive.append_data(&mut header, OsString::from_vec(name), ctx.reader(src)?)?;
            Ok(archive.into_inner()?.finish()?.flush()?)
        }))
    }

    fn stop(&self, ctx: &JobContext) -> Result<Outcome> {
        Transaction::lock(&self.state, ctx)?.discard()?;
        Ok(Outcome::default())
    }
}

impl TargzSession {
    /// A whole archive in one call, straight to its destination.
    fn whole(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        if job.src.is_none() && !job.params.flag("startOfTx") {
            return Err(Error::new(ErrorKind::Usage, "there is nothing to archive")
                .hint("give a source, or open a transaction with startOfTx=1"));
        }
        let output = destination(job.dst)?;
        let members = u64::from(job.src.is_some());
        let mut addition = self.addition(job.src, &job.params, 0, output.files()?, ctx)?;
        let mut writer = ctx.writer(output);
        self.write(&mut addition, true, &job.params, &mut writer, ctx)?;
        writer.flush()?;
        Ok(outcome(members, &addition))
    }

    /// Opens a transaction if it is to start, and adds a source if there is one.
    fn add(
        &self,
        transaction: &mut Transaction,
        start: bool,
        job: EngineJob,
        ctx: &JobContext,
    ) -> Result<Outcome> {
        if job.dst.as_ref().is_some_and(|dst| !dst.is_if_any()) {
            return Err(Error::new(
                ErrorKind::Usage,
                "the transaction does not end with this call",
            )
            .hint("give the destination with the last call, and endOfTx=1"));
        }
        if !start && job.src.is_none() {
            return Err(Error::new(ErrorKind::Usage, "there is nothing to add to the transaction")
                .hint("give a source, or end it with endOfTx=1 and a destination"));
        }
        let count = if start { 0 } else { transaction.members() };
        let added = u64::from(job.src.is_some());
        let mut addition = self.addition(job.src, &job.params, count, Vec::new(), ctx)?;
        if start {
            transaction.begin();
        }
        let mut draft = transaction.draft()?;
        if addition.is_some() {
            self.write(&mut addition, false, &job.params, &mut draft.spool, ctx)?;
        }
        draft.commit(added, false)?;
        Ok(outcome(count + added, &addition))
    }

    /// Adds the last source if there is one, and gives the archive out.
    fn end(
        &self,
        transaction: &mut Transaction,
        job: EngineJob,
        ctx: &JobContext,
    ) -> Result<Outcome> {
        let output = destination(job.dst)?;
        let count = transaction.members();
        let added = u64::from(job.src.is_some());
        let mut addition = self.addition(job.src, &job.params, count, output.files()?, ctx)?;
        let mut draft = transaction.draft()?;
        // What mode 1 makes of nothing is an empty gzip file.
        let empty = count + added == 0;
        if addition.is_some() || self.mode != Mode::Gzip || empty {
            self.write(&mut addition, true, &job.params, &mut draft.spool, ctx)?;
        }
        give_out(&mut draft.spool, ctx.writer(output))?;
        draft.commit(added, true)?;
        Ok(outcome(count + added, &addition))
    }

    /// Gives out the archive that ended last.
    fn again(
        &self,
        transaction: &mut Transaction,
        job: EngineJob,
        ctx: &JobContext,
    ) -> Result<Outcome> {
        if !transaction.has_ended() {
            return Err(Error::new(
                ErrorKind::Conflict,
                "no transaction has ended in this session",
            ));
        }
        if job.src.is_some() {
            return Err(Error::new(ErrorKind::Usage, "nothing can be added to an ended archive")
                .hint("leave the source out, or start a new transaction with startOfTx=1"));
        }
        let output = destination(job.dst)?;
        let count = transaction.members();
        give_out(&mut transaction.draft()?.spool, ctx.writer(output))?;
        Ok(Outcome::default().with("members", count))
    }

    /// What a call adds, under its name.
    fn addition(
        &self,
        src: Option<Input>,
        params: &Params,
        count: u64,
        output: Vec<FileId>,
        ctx: &JobContext,
    ) -> Result<Option<Addition>> {
        let Some(src) = src else { return Ok(None) };
        if self.mode == Mode::Gzip {
            return Ok(Some(Addition::Plain(ctx.reader(src)?)));
        }
        let name = member_name(&src, params.text("name"), count)?;
        Ok(Some(Addition::Member(Member::new(src, name, output, ctx)?)))
    }

    /// Writes an addition as this session's mode wants it, with the archive's end if `last`.
    fn write(
        &self,
        addition: &mut Option<Addition>,
        last: bool,
        params: &Params,
        to: &mut (dyn Write + Send),
        ctx: &JobContext,
    ) -> Result<()> {
        let settings = gzip::Settings::anonymous(params)?;
        let write = |bytes: &[u8]| Ok(to.write_all(bytes)?);
        let mut tar = match addition {
            Some(Addition::Plain(reader)) => {
                return gzip::compress(|it| reader.fill(it), write, &settings, ctx.threads());
            }
            Some(Addition::Member(member)) => TarStream::new(Some(member), last, ctx),
            None => TarStream::new(None, last && self.mode != Mode::Gzip, ctx),
        };
        match self.mode {
            Mode::Tar => tar.copy_to(write),
            _ => gzip::compress(|it| tar.fill(it), write, &settings, ctx.threads()),
        }
    }
}

/// A source on its way into the archive.
enum Addition {
    /// Only to be compressed.
    Plain(apyfal_core::InputReader),
    /// To be archived.
    Member(Member),
}

fn outcome(members: u64, addition: &Option<Addition>) -> Outcome {
    let outcome = Outcome::default().with("members", members);
    match addition {
        Some(Addition::Member(member)) if member.skipped() > 0 => {
            outcome.with("skipped_sockets", member.skipped())
        }
        _ => outcome,
    }
}

fn give_out(spool: &mut std::fs::File, mut writer: OutputWriter) -> Result<()> {
    spool.rewind()?;
    copy(spool, &mut writer)?;
    Ok(writer.flush()?)
}

fn destination(dst: Option<Output>) -> Result<Output> {
    dst.ok_or_else(|| {
        Error::new(ErrorKind::Usage, "the archive has no destination")
            .hint("give the destination with the call that ends the archive")
    })
}

/// What a source is called: as the caller says, as it is called itself, or by its number.
fn member_name(src: &Input, given: Option<&str>, count: u64) -> Result<Vec<u8>> {
    let own = || match src.source() {
        Source::Directory(path)
            if src.os_name().is_none_or(|_| path.file_name() == src.os_name()) =>
        {
            // The name of '.' and '..' is that of the directory itself.
            path.canonicalize().ok()?.file_name().map(OsString::from)
        }
        _ => src.os_name().map(OsString::from),
    };
    let name = match given {
        Some(name) => Some(OsString::from(name)),
        None => own(),
    };
    let name = name.unwrap_or_else(|| format!("member-{}", count + 1).into()).into_vec();
    let parts: Vec<_> =
        name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.is_empty() || parts.contains(&&b".."[..]) || name.contains(&0) {
        let shown = String::from_utf8_lossy(&name).into_owned();
        return Err(Error::new(ErrorKind::Usage, format!("'{shown}' cannot name a member"))
            .hint("give a relative path without '..' as 'name'"));
    }
    Ok(parts.join(&b'/'))
}
