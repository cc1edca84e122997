//! How hard `gzip` tries, and what compresses so.

use apyfal_core::{Error, ErrorKind, Result};
use libdeflater::CompressionLvl;

use crate::gzip_format::Effort;

/// How hard to try: 1 to 9.
///
/// Levels 1 and 2 are those of `apyfal-deflate`; from 3 on, where the best match is searched for, libdeflate is
/// quicker than others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level(u8);

impl Level {
    /// The words and digits of the parameter `level`.
    pub(crate) const CHOICES: [&str; 12] =
        ["fast", "default", "best", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

    /// What the levels mean, for a parameter's help.
    pub(crate) const HELP: &str = "How hard to try: 1 (fastest) to 9 (smallest); fast is 1, default 2, \
                                   and best 6, as small as 'gzip -6' at three times its speed";

    /// Takes one of [`Level::CHOICES`].
    ///
    /// `best` is where more time stops to pay: 7 to 9 gain 0.4 to 1.2 % for 1.4 to 2.3 times the time.
    pub(crate) fn from_choice(choice: &str) -> Option<Self> {
        match choice {
            "fast" => Some(Self(1)),
            "default" => Some(Self(2)),
            "best" => Some(Self(6)),
            digit => digit.parse().ok().filter(|level| (1..=9).contains(level)).map(Self),
        }
    }

    pub(crate) fn compressor(self) -> Compressor {
        match self.0 {
            1 => Compressor::Own(apyfal_deflate::Compressor::new(apyfal_deflate::Level::Fast)),
            2 => Compressor::Own(apyfal_deflate::Compressor::new(apyfal_deflate::Level::Default)),
            // Every value of the type is one of libdeflate's levels, 0 to 12.
            level => Compressor::Libdeflate {
                compressor: libdeflater::Compressor::new(
                    CompressionLvl::new(level.into()).unwrap_or_default(),
                ),
                room: Vec::new(),
            },
        }
    }

    /// Whether a block of few symbols takes long.
    pub(crate) fn may_be_slow(self) -> bool {
        self.0 >= 7
    }

    pub(crate) fn effort(self) -> Effort {
        match self.0 {
            1 => Effort::Fastest,
            9 => Effort::Most,
            _ => Effort::Ordinary,
        }
    }
}

impl From<Level> for flate2::Compression {
    fn from(level: Level) -> Self {
        Self::new(level.0.into())
    }
}

/// What compresses one block after the other.
pub(crate) enum Compressor {
    Own(apyfal_deflate::Compressor),
    Libdeflate {
        compressor: libdeflater::Compressor,
        /// As long as was ever needed, for libdeflate wants to be given all that it may take.
        room: Vec<u8>,
    },
}

impl Compressor {
    /// Appends the deflate stream of a block.
    ///
    /// # Errors
    /// None that is known.
    pub(crate) fn compress(&mut self, source: &[u8], out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Own(compressor) => compressor.compress(source, out),
            Self::Libdeflate { compressor, room } => {
                let bound = compressor.deflate_compress_bound(source.len());
                if room.len() < bound {
                    room.resize(bound, 0);
                }
                let deflated = compressor
                    .deflate_compress(source, room)
                    .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
                out.extend_from_slice(&room[..deflated]);
            }
        }
        Ok(())
    }
}
