//! The one place that knows the libraries for compression: one step of each, alike.

use flate2::{Decompress as Inflate, FlushDecompress};
use liblzma::stream::{Action, MtStreamBuilder, Status as XzStatus};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

use super::{Fault, Packing};

/// What unpacking may take: files that need more are refused, and xz uses fewer threads rather than more memory.
pub(crate) const MEMORY_LIMIT: u64 = 1 << ZSTD_WINDOW_BITS;
/// The same limit as zstd wants to have it.
const ZSTD_WINDOW_BITS: u32 = 30;

pub(super) enum Codec {
    Xz(liblzma::stream::Stream),
    Zstd(Box<ZstdDecoder<'static>>),
    Gzip(Box<Inflate>),
    Bzip2(Box<bzip2::Decompress>),
    /// What gzip has within, without a check.
    Deflate(Box<Inflate>),
    /// Not packed at all: it has no end of its own.
    Stored,
}

/// What one step has done.
pub(super) struct Step {
    pub(super) consumed: usize,
    pub(super) produced: usize,
    /// This piece of the file is complete.
    pub(super) end: bool,
}

/// Why a step failed.
pub(super) enum Stop {
    Memory,
    Corrupt(String),
}

impl Stop {
    pub(super) fn into_fault(self, corrupt: impl FnOnce(String) -> Fault) -> Fault {
        match self {
            Self::Memory => Fault::Memory,
            Self::Corrupt(reason) => corrupt(reason),
        }
    }
}

impl Codec {
    pub(super) fn new(packing: Packing, threads: u32) -> Result<Self, Fault> {
        Ok(match packing {
            Packing::Xz => {
                let decoder = MtStreamBuilder::new()
                    .threads(threads.max(1))
                    .memlimit_threading(MEMORY_LIMIT)
                    .memlimit_stop(MEMORY_LIMIT)
                    .decoder();
                Self::Xz(decoder.map_err(|_| Fault::Memory)?)
            }
            Packing::Zstd => {
                let mut decoder = ZstdDecoder::new().map_err(|_| Fault::Memory)?;
                decoder
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_BITS))
                    .map_err(|_| Fault::Memory)?;
                Self::Zstd(Box::new(decoder))
            }
            Packing::Gzip => Self::Gzip(Box::new(Inflate::new_gzip(15))),
            Packing::Bzip2 => Self::Bzip2(Box::new(bzip2::Decompress::new(false))),
            // What an archive has around its content is not for this place.
            Packing::Zip => Self::Deflate(Box::new(Inflate::new(false))),
            Packing::Tar => Self::Stored,
        })
    }

    /// Unpacks some of `input`, which is the end of the file where `last`, into some of `output`.
    pub(super) fn step(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        last: bool,
    ) -> Result<Step, Stop> {
        match self {
            Self::Xz(stream) => {
                let before = (stream.total_in(), stream.total_out());
                // Only then it waits for all of its threads.
                let action = if last { Action::Finish } else { Action::Run };
                let status = stream.process(input, output, action).map_err(xz_stop)?;
                Ok(Step {
                    consumed: difference(before.0, stream.total_in()),
                    produced: difference(before.1, stream.total_out()),
                    end: status == XzStatus::StreamEnd,
                })
            }
            Self::Zstd(decoder) => {
                let status = decoder
                    .run_on_buffers(input, output)
                    .map_err(|error| zstd_stop(&error))?;
                Ok(Step {
                    consumed: status.bytes_read,
                    produced: status.bytes_written,
                    end: status.remaining == 0,
                })
            }
            Self::Gzip(inflate) | Self::Deflate(inflate) => {
                let before = (inflate.total_in(), inflate.total_out());
                let status = inflate
                    .decompress(input, output, FlushDecompress::None)
                    .map_err(|error| Stop::Corrupt(error.to_string()))?;
                Ok(Step {
                    consumed: difference(before.0, inflate.total_in()),
                    produced: difference(before.1, inflate.total_out()),
                    end: status == flate2::Status::StreamEnd,
                })
            }
            Self::Bzip2(decoder) => {
                let before = (decoder.total_in(), decoder.total_out());
                let status = decoder
                    .decompress(input, output)
                    .map_err(|error| Stop::Corrupt(error.to_string()))?;
                Ok(Step {
                    consumed: difference(before.0, decoder.total_in()),
                    produced: difference(before.1, decoder.total_out()),
                    end: status == bzip2::Status::StreamEnd,
                })
            }
            Self::Stored => {
                let count = input.len().min(output.len());
                output[..count].copy_from_slice(&input[..count]);
                Ok(Step {
                    consumed: count,
                    produced: count,
                    end: false,
                })
            }
        }
    }
}

/// What a frame of zstd that begins so says that it unpacks to.
pub(super) fn zstd_declared(head: &[u8]) -> Option<u64> {
    // A frame for other programs unpacks to nothing.
    let bytes = zstd::zstd_safe::get_frame_content_size(head).ok()??;
    (bytes > 0).then_some(bytes)
}

/// How far a counter went in one step, which is no further than a buffer is long.
fn difference(before: u64, after: u64) -> usize {
    usize::try_from(after - before).unwrap_or(usize::MAX)
}

fn xz_stop(error: liblzma::stream::Error) -> Stop {
    use liblzma::stream::Error::{Data, Format, Mem, MemLimit, Options};
    match error {
        Mem | MemLimit => Stop::Memory,
        Data => Stop::Corrupt("the data is not what was packed".to_owned()),
        Format => Stop::Corrupt("a header is wrong".to_owned()),
        Options => Stop::Corrupt("it uses a feature that is unknown".to_owned()),
        other => Stop::Corrupt(other.to_string()),
    }
}

/// The library has a text for this and no kind.
fn zstd_stop(error: &std::io::Error) -> Stop {
    let text = error.to_string();
    if text.contains("memory") {
        return Stop::Memory;
    }
    Stop::Corrupt(text)
}
