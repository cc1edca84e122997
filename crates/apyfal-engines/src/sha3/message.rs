//! Messages on their way through the sponge, one alone or many in the lanes of the vector unit.

use apyfal_core::{EngineJob, Error, ErrorKind, InputReader, JobContext, Outcome, Result};

use super::keccak::{self, State};
use super::{Function, outcome, request};

/// Bytes of a message in memory, less what does not make a whole block: few enough to stay in a
/// core's cache with those of seven others.
const BUFFER: usize = 64 << 10;

/// A message that is being read and absorbed.
pub(super) struct Message {
    function: &'static Function,
    bits: usize,
    reader: InputReader,
    state: State,
    buffer: Vec<u8>,
    /// How long the rest of the message is, as far as is known.
    expected: usize,
    /// Where in the buffer the blocks are that were read and not yet absorbed.
    start: usize,
    end: usize,
    /// Whether the last of them holds the padding.
    ended: bool,
}

impl Message {
    /// The message of a job.
    pub(super) fn new(job: EngineJob, ctx: &JobContext) -> Result<Self> {
        let (function, bits) = request(&job.params)?;
        let src = job.src.ok_or_else(no_source)?;
        let expected = src.len().and_then(|len| usize::try_from(len).ok()).unwrap_or(BUFFER);
        Ok(Self {
            function,
            bits,
            reader: ctx.reader(src)?,
            state: [0; 25],
            buffer: Vec::new(),
            expected,
            start: 0,
            end: 0,
            ended: false,
        })
    }

    /// Reads and absorbs it to its end.
    pub(super) fn hash(mut self) -> Result<Outcome> {
        while !self.ended {
            self.refill()?;
            self.absorb();
        }
        Ok(self.squeeze())
    }

    /// Fills the empty buffer, and pads the message when it ends there.
    fn refill(&mut self) -> Result<()> {
        let rate = self.function.rate;
        // One block more than a short message has, for its padding.
        let blocks = (BUFFER / rate).min(self.expected / rate + 1);
        self.buffer.resize(blocks * rate, 0);
        self.expected = BUFFER;
        let count = self.reader.fill(&mut self.buffer)?;
        (self.start, self.end) = (0, count);
        if count < self.buffer.len() {
            // Padding "10*1" of FIPS 202, section 5.1, behind the suffix of the function.
            self.end = (count / rate + 1) * rate;
            self.buffer[count..self.end].fill(0);
            self.buffer[count] = self.function.suffix;
            self.buffer[self.end - 1] |= 0x80;
            self.ended = true;
        }
        Ok(())
    }

    fn pending(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    fn absorb(&mut self) {
        keccak::absorb(&mut self.state, self.function.rate, &self.buffer[self.start..self.end]);
        self.start = self.end;
    }

    fn squeeze(mut self) -> Outcome {
        let mut digest = vec![0; self.bits.div_ceil(8)];
        for (number, block) in digest.chunks_mut(self.function.rate).enumerate() {
            if number > 0 {
                keccak::permute(&mut self.state);
            }
            for (bytes, lane) in block.chunks_mut(8).zip(self.state) {
                bytes.copy_from_slice(&lane.to_le_bytes()[..bytes.len()]);
            }
        }
        outcome(digest, self.bits)
    }
}

/// Hashes many messages, as many at once as there are lanes. Messages of the same rate share them.
pub(super) fn hash_many(messages: Vec<Result<Message>>) -> Vec<Result<Outcome>> {
    let mut results: Vec<_> = messages.iter().map(|_| Err(lost())).collect();
    let mut waiting = Vec::new();
    for (number, message) in messages.into_iter().enumerate() {
        match message {
            Ok(message) => waiting.push((number, message)),
            Err(error) => results[number] = Err(error),
        }
    }
    // The lanes are filled from the end of the list.
    waiting.sort_by_key(|(number, message)| (message.function.rate, std::cmp::Reverse(*number)));
    let mut active: Vec<(usize, Message)> = Vec::new();
    loop {
        let rate = active.first().or(waiting.last()).map(|(_, message)| message.function.rate);
        let Some(rate) = rate else { return results };
        while active.len() < keccak::lanes()
            && waiting.last().is_some_and(|(_, message)| message.function.rate == rate)
        {
            active.extend(waiting.pop());
        }
        active = advance(active, rate, &mut results);
    }
}

/// Takes messages a step further, and returns those that have not ended.
fn advance(
    mut active: Vec<(usize, Message)>,
    rate: usize,
    results: &mut [Result<Outcome>],
) -> Vec<(usize, Message)> {
    active.retain_mut(|(number, message)| {
        let refilled = if message.pending().is_empty() { message.refill() } else { Ok(()) };
        refilled.map_err(|error| results[*number] = Err(error)).is_ok()
    });
    // A step in lanes costs about as much as two alone, however many of the lanes are in use.
    if active.len() <= 2 {
        active.iter_mut().for_each(|(_, message)| message.absorb());
    } else {
        let step = active.iter().map(|(_, message)| message.pending().len()).min().unwrap_or(0);
        let lanes = keccak::lanes();
        let mut states: Vec<_> = active.iter().map(|(_, message)| message.state).collect();
        let mut blocks: Vec<_> =
            active.iter().map(|(_, message)| &message.pending()[..step]).collect();
        // An idle lane repeats another's message.
        states.resize(lanes, states[0]);
        blocks.resize(lanes, blocks[0]);
        keccak::absorb_lanes(&mut states, rate, &blocks);
        for ((_, message), state) in active.iter_mut().zip(states) {
            message.state = state;
            message.start += step;
        }
    }
    let (ended, active): (Vec<_>, Vec<_>) =
        active.into_iter().partition(|(_, message)| message.ended && message.pending().is_empty());
    for (number, message) in ended {
        results[number] = Ok(message.squeeze());
    }
    active
}

/// The error of a job without the source that the engine says it needs.
pub(super) fn no_source() -> Error {
    Error::new(ErrorKind::Internal, "sha3 was run without a source")
}

fn lost() -> Error {
    Error::new(ErrorKind::Internal, "a message was not hashed")
}
