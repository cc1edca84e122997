//! `sha3`: the hash functions and extendable-output functions of FIPS 202.

mod keccak;
mod message;
#[cfg(test)]
mod tests;

use apyfal_core::{
    AcceleratorInfo, EngineJob, EngineSession, Error, ErrorKind, JobContext, Need, Outcome,
    ParamKind, ParamSpec, Params, Result,
};
use data_encoding::HEXLOWER;
use digest::{ExtendableOutput, FixedOutput, Update, XofReader};

use crate::cpu::Cpu;
use message::Message;

/// The longest output of a SHAKE: 1 MiB, which is 2 MiB of JSON.
const MAX_BITS: i64 = 8 << 20;

/// One function of FIPS 202.
#[derive(Debug, PartialEq)]
struct Function {
    name: &'static str,
    /// Bytes of message per permutation.
    rate: usize,
    /// The domain's bits, and the first bit of the padding, as they follow the message.
    suffix: u8,
    /// Bits of output; of a SHAKE where no length is given: twice its security strength, so that
    /// finding a collision takes as long as the strength promises.
    bits: usize,
    extendable: bool,
}

/// FIPS 202, sections 6.1 and 6.2.
static FUNCTIONS: [Function; 6] = [
    Function { name: "sha3-224", rate: 144, suffix: 0x06, bits: 224, extendable: false },
    Function { name: "sha3-256", rate: 136, suffix: 0x06, bits: 256, extendable: false },
    Function { name: "sha3-384", rate: 104, suffix: 0x06, bits: 384, extendable: false },
    Function { name: "sha3-512", rate: 72, suffix: 0x06, bits: 512, extendable: false },
    Function { name: "shake-128", rate: 168, suffix: 0x1f, bits: 256, extendable: true },
    Function { name: "shake-256", rate: 136, suffix: 0x1f, bits: 512, extendable: true },
];

/// Sources of this many bytes take 100 µs at most, whatever the function.
const QUICK: usize = 8 << 10;

/// The engine.
pub(crate) fn engine() -> Cpu {
    let mut info = AcceleratorInfo::new("sha3", "Hash data with SHA-3 or SHAKE");
    info.aliases = vec!["silex_sha3".into()];
    info.description = "The digest of the source is the result 'digest', in hexadecimal. A \
        message is hashed by one thread; files that wait to be hashed at the same time go \
        side by side in the lanes of the vector unit.\n\n\
        'length' counts bits. Where it is not a multiple of eight, the unused high bits of the \
        last byte are zero, which is the order of bits of FIPS 202."
        .into();
    info.params = vec![
        ParamSpec::new(
            "type",
            ParamKind::Choice(FUNCTIONS.iter().map(|function| function.name.into()).collect()),
            "The hash function.",
        )
        .default("sha3-256"),
        ParamSpec::new(
            "length",
            ParamKind::Integer(1..=MAX_BITS),
            "Output in bits, for the SHAKE types; 256 for shake-128 and 512 for shake-256 \
             unless set.",
        ),
    ];
    info.dst = Need::None;
    Cpu::new(info, |_| Ok(Box::new(Sha3Session))).quick_to(QUICK)
}

#[derive(Debug)]
struct Sha3Session;

impl EngineSession for Sha3Session {
    fn process(&self, job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
        Message::new(job, ctx)?.hash()
    }

    fn process_many(&self, jobs: Vec<(EngineJob, JobContext)>) -> Vec<Result<Outcome>> {
        message::hash_many(jobs.into_iter().map(|(job, ctx)| Message::new(job, &ctx)).collect())
    }

    fn is_quick(&self, job: &EngineJob) -> bool {
        // A long digest takes as long as a long message.
        job.params.integer("length").is_none_or(|bits| bits <= QUICK as i64)
    }

    fn batch(&self) -> usize {
        keccak::lanes()
    }

    fn process_in_software(&self, job: EngineJob, ctx: &JobContext) -> Option<Result<()>> {
        Some(hash_in_software(job, ctx).map(drop))
    }
}

/// What a job asks for: the function and its output in bits.
fn request(params: &Params) -> Result<(&'static Function, usize)> {
    let name = params.text("type").unwrap_or("sha3-256");
    let function = FUNCTIONS.iter().find(|function| function.name == name).ok_or_else(|| {
        Error::new(ErrorKind::Internal, format!("'{name}' was taken for a type of sha3"))
    })?;
    let bits = match params.integer("length") {
        None => function.bits,
        Some(length) => length as usize,
    };
    if !function.extendable && bits != function.bits {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("the digest of {name} has {} bits, not {bits}", function.bits),
        )
        .operation("use parameter 'length'")
        .hint("leave 'length' away, or choose shake-128 or shake-256, whose length is free"));
    }
    Ok((function, bits))
}

/// The result that holds a digest of so many bits.
fn outcome(mut digest: Vec<u8>, bits: usize) -> Outcome {
    if let (Some(last), used @ 1..) = (digest.last_mut(), bits % 8) {
        *last &= (1 << used) - 1;
    }
    Outcome::default().with("digest", HEXLOWER.encode(&digest))
}

/// The same by the plain implementation of the RustCrypto project.
fn hash_in_software(job: EngineJob, ctx: &JobContext) -> Result<Outcome> {
    fn fixed<H: Default + Update + FixedOutput>(
        job: EngineJob,
        ctx: &JobContext,
    ) -> Result<Vec<u8>> {
        Ok(absorb(H::default(), job, ctx)?.finalize_fixed().to_vec())
    }
    fn extendable<H: Default + Update + ExtendableOutput>(
        job: EngineJob,
        ctx: &JobContext,
        bits: usize,
    ) -> Result<Vec<u8>> {
        let mut digest = vec![0; bits.div_ceil(8)];
        absorb(H::default(), job, ctx)?.finalize_xof().read(&mut digest);
        Ok(digest)
    }
    fn absorb<H: Update>(mut hash: H, job: EngineJob, ctx: &JobContext) -> Result<H> {
        let mut reader = ctx.reader(job.src.ok_or_else(message::no_source)?)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match reader.fill(&mut buffer)? {
                0 => return Ok(hash),
                count => hash.update(&buffer[..count]),
            }
        }
    }

    let (function, bits) = request(&job.params)?;
    let digest = match function.name {
        "sha3-224" => fixed::<sha3::Sha3_224>(job, ctx),
        "sha3-256" => fixed::<sha3::Sha3_256>(job, ctx),
        "sha3-384" => fixed::<sha3::Sha3_384>(job, ctx),
        "sha3-512" => fixed::<sha3::Sha3_512>(job, ctx),
        "shake-128" => extendable::<shake::Shake128>(job, ctx, bits),
        _ => extendable::<shake::Shake256>(job, ctx, bits),
    }?;
    Ok(outcome(digest, bits))
}
