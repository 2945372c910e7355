//! Compressed streams, told by their first bytes rather than by a name.

use std::io::{self, BufReader, Cursor, Read};

/// Why a compressed stream is not read.
#[derive(Debug, thiserror::Error)]
pub enum CompressionError {
    /// The stream failed at its very beginning.
    #[error("reading the first bytes: {0}")]
    Read(io::Error),
    /// A format that is told but not read.
    #[error("compressed with {format}, which is not read\nhint: recompress it with gzip, xz or zstd")]
    Format {
        /// Its name.
        format: &'static str,
    },
    /// A decoder could not be made.
    #[error("starting the decoder for zstd: {0}")]
    Decoder(io::Error),
}

/// The plain bytes of a stream that is gzip, xz, zstd or plain itself.
///
/// # Errors
/// When the stream fails or is in another compressed format.
pub fn decompress<'source>(mut source: impl Read + 'source) -> Result<Box<dyn Read + 'source>, CompressionError> {
    let mut first = Vec::with_capacity(6);
    (&mut source)
        .take(6)
        .read_to_end(&mut first)
        .map_err(CompressionError::Read)?;
    let whole = |first| Cursor::new(first).chain(source);
    Ok(match first.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(
            64 << 10,
            whole(first),
        ))),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(
            BufReader::with_capacity(64 << 10, whole(first)),
        )),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(zstd::stream::read::Decoder::new(whole(first)).map_err(CompressionError::Decoder)?)
        }
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => return Err(CompressionError::Format { format: "bzip2" }),
        [0x5d, 0, 0, ..] => return Err(CompressionError::Format { format: "lzma" }),
        [0x04, 0x22, 0x4d, 0x18, ..] => return Err(CompressionError::Format { format: "lz4" }),
        [0x89, b'L', b'Z', b'O', ..] => return Err(CompressionError::Format { format: "lzop" }),
        _ => Box::new(BufReader::with_capacity(64 << 10, whole(first))),
    })
}
