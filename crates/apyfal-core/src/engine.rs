//! What an engine must do.

use std::borrow::Cow;
use std::fmt::Debug;

use serde_json::{Map, Value};

use crate::{
    Directory, Error, ErrorKind, Input, JobContext, Output, ParamSpec, Params, Result, Stage,
    shorten,
};

/// Whether something must, may or must not be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Giving it is an error.
    None,
    /// It may be given.
    Optional,
    /// It must be given.
    Required,
}

/// How many jobs of an engine run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slots {
    /// One per core of the machine.
    Cores,
    /// This many: the FPGA slots, or one for a program that cannot share.
    Fixed(usize),
}

/// What a user sees of an accelerator, whatever runs it.
#[derive(Clone, Debug)]
pub struct AcceleratorInfo {
    /// Its name: `gzip`.
    pub name: Cow<'static, str>,
    /// Other names that mean the same: `cast_gzip`.
    pub aliases: Vec<Cow<'static, str>>,
    /// What it does, in one line.
    pub summary: Cow<'static, str>,
    /// What a user should know before using it, in a few paragraphs.
    pub description: Cow<'static, str>,
    /// Its parameters.
    pub params: Vec<ParamSpec>,
    /// Whether `start` takes a source.
    pub start_src: Need,
    /// Whether `process` takes a source.
    pub src: Need,
    /// Whether `process` takes a destination.
    pub dst: Need,
    /// Whether a job that was interrupted may simply be run again.
    pub rerun_safe: bool,
    /// What can run it here, the best first. An engine that tells of its accelerator leaves it empty.
    pub engines: Vec<EngineInfo>,
}

/// What runs an accelerator here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// `cpu`, or of an accelerator of the user's own its program, or the kind of device that this uses.
    pub name: Cow<'static, str>,
    /// How many jobs run at once.
    pub slots: Slots,
    /// What it needs beside cores: `a slot of aws-f2`; empty where that is nothing.
    pub needs: Cow<'static, str>,
    /// A job whose source is in memory and no longer than this, in bytes, neither blocks nor takes
    /// longer than about 100 µs, so that it may run on the caller's own thread instead of one for
    /// blocking work; 0 where that is never so. Where it is, beginning a session without a source
    /// is as quick, and so is ending it.
    pub quick: usize,
}

impl AcceleratorInfo {
    /// An accelerator without parameters that makes a destination of a source.
    pub fn new(name: &'static str, summary: &'static str) -> Self {
        Self {
            name: name.into(),
            aliases: Vec::new(),
            summary: summary.into(),
            description: "".into(),
            params: Vec::new(),
            start_src: Need::None,
            src: Need::Required,
            dst: Need::Required,
            rerun_safe: true,
            engines: Vec::new(),
        }
    }

    /// Whether `name` means this accelerator. Case does not count.
    pub fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
            || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
    }

    /// Whether a parameter is one that only `start` takes.
    pub fn is_of_start(&self, parameter: &str) -> bool {
        let mut specs = self.params.iter();
        specs.any(|spec| spec.name == *parameter && spec.stage == Stage::Start)
    }

    /// How many jobs run at once where nobody asks for an engine.
    pub fn slots(&self) -> Slots {
        self.engines.first().map_or(Slots::Cores, |best| best.slots)
    }

    /// Which of its engines is called so; its place among them. Case does not count.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] names those that there are.
    pub fn engine(&self, name: &str) -> Result<usize> {
        let found = self.engines.iter().position(|engine| engine.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let names: Vec<_> = self.engines.iter().map(|engine| engine.name.as_ref()).collect();
            let why = format!("{} has no engine '{}' here", self.name, shorten(name));
            let error = Error::new(ErrorKind::Usage, why);
            let error = error.hint(format!("it has: {}", names.join(", ")));
            match self.params.iter().any(|spec| spec.name == "engine") {
                true => error.hint(format!("its parameter is set by --set engine={name}")),
                false => error,
            }
        })
    }
}

impl EngineInfo {
    /// The cores of this machine, in this process.
    pub fn cpu() -> Self {
        Self { name: "cpu".into(), slots: Slots::Cores, needs: "".into(), quick: 0 }
    }
}

/// One implementation of an accelerated function. It blocks on purpose: devices and CPUs do.
pub trait Engine: Debug + Send + Sync {
    /// What it implements, the same in every engine of an accelerator.
    fn accelerator(&self) -> &AcceleratorInfo;

    /// What it is itself.
    fn info(&self) -> &EngineInfo;

    /// Checks what the types of parameters alone do not say, of a session or of a job. The engine
    /// sees no parameters that did not pass.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] names the parameter.
    fn check(&self, _params: &Params) -> Result<()> {
        Ok(())
    }

    /// Opens a session.
    ///
    /// `src` is what was given to `start`. `state` is the session's own directory, made for those who
    /// ask for its path: what must outlive this process lives there. A session is opened again, in another process, from the
    /// same source, parameters and state; what is already in `state` must then be taken up, not
    /// made anew.
    ///
    /// # Errors
    /// The source or the parameters are not usable.
    fn open(
        &self,
        src: Option<Input>,
        params: &Params,
        state: &dyn Directory,
        ctx: &JobContext,
    ) -> Result<Box<dyn EngineSession>>;
}

/// An accelerator with its parameters and data, ready for jobs from several threads at once.
pub trait EngineSession: Debug + Send + Sync {
    /// Runs one job to its end.
    ///
    /// # Errors
    /// The job failed; nothing of its output may be used.
    fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome>;

    /// Runs many jobs, for engines that gain from batches. The default runs one after the other.
    ///
    /// The answer has one result per job, in the order of the jobs. Each job has a context of its
    /// own, so that one may be cancelled while the others go on; their threads are for all of them
    /// together.
    fn process_many(&self, jobs: Vec<(EngineJob, JobContext)>) -> Vec<Result<Outcome>> {
        jobs.into_iter().map(|(job, ctx)| self.process(job, &ctx)).collect()
    }

    /// How many jobs [`process_many`](Self::process_many) wants at once; 1 where it gains nothing.
    fn batch(&self) -> usize {
        1
    }

    /// Whether a job of a length that [`EngineInfo::quick`] allows is quick with its parameters too.
    fn is_quick(&self, _job: &EngineJob) -> bool {
        true
    }

    /// Does the same job with plain single-threaded software, for comparison. Its output is
    /// thrown away. None where there is nothing to compare with.
    fn process_in_software(&self, _job: EngineJob, _ctx: &JobContext) -> Option<Result<()>> {
        None
    }

    /// What `start` has to tell: the `app` part of its response beside the status.
    fn started(&self) -> Map<String, Value> {
        Map::new()
    }

    /// Ends the session for good. Not called when a process only lets go of it.
    ///
    /// # Errors
    /// The device or program could not be stopped in order.
    fn stop(&self, _ctx: &JobContext) -> Result<Outcome> {
        Ok(Outcome::default())
    }
}

/// One job as an engine sees it.
#[derive(Debug, Default)]
pub struct EngineJob {
    /// What it reads.
    pub src: Option<Input>,
    /// What it writes.
    pub dst: Option<Output>,
    /// Its checked parameters, those of the session included.
    pub params: Params,
}

/// What a job gives back beside its output.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The accelerator's own result: `{"digest": …}`.
    pub specific: Map<String, Value>,
    /// More of the response's `app` part, such as a device's own profiling.
    pub app: Map<String, Value>,
}

impl Outcome {
    /// Adds one value to the accelerator's own result.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.specific.insert(key.to_owned(), value.into());
        self
    }
}
