//! The compressions a kernel and its modules come in, told by their first bytes.

use std::io::{self, Read};

/// No kernel or module is larger; what claims to be is not decompressed to the
/// end of memory.
const MAX_SIZE: u64 = 1 << 30;

/// Why compressed bytes could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// The stream is broken.
    #[error("decompress {format}: {source}")]
    Broken {
        /// `gzip`, `xz`, …
        format: &'static str,
        /// What the decoder said.
        source: io::Error,
    },
    /// It is far larger than any kernel.
    #[error("decompress {format}: more than {MAX_SIZE} bytes")]
    TooLarge {
        /// `gzip`, `xz`, …
        format: &'static str,
    },
    /// No decoder for it is built in.
    #[error("decompress {format}: not supported")]
    Unsupported {
        /// `lzo`, `bzip2`.
        format: &'static str,
    },
}

/// A compression Linux can be built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Xz,
    Lzma,
    Zstd,
    Lz4,
    Lzo,
    Bzip2,
}

impl Compression {
    /// By the first bytes, as scripts/extract-vmlinux does it.
    pub(crate) fn detect(bytes: &[u8]) -> Option<Self> {
        const MAGICS: [(&[u8], Compression); 7] = [
            (&[0x1f, 0x8b], Compression::Gzip),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Compression::Xz),
            (&[0x5d, 0, 0], Compression::Lzma),
            (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
            (&LZ4_LEGACY, Compression::Lz4),
            (&[0x89, b'L', b'Z', b'O'], Compression::Lzo),
            (b"BZh", Compression::Bzip2),
        ];
        MAGICS
            .into_iter()
            .find(|(magic, _)| bytes.starts_with(magic))
            .map(|(_, compression)| compression)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Lzma => "lzma",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Lzo => "lzo",
            Self::Bzip2 => "bzip2",
        }
    }

    /// Whether [`Compression::decompress`] knows it.
    pub(crate) fn is_supported(self) -> bool {
        !matches!(self, Self::Lzo | Self::Bzip2)
    }

    /// Decompresses the first stream; a kernel's build puts four bytes of length
    /// behind it, which are not looked at.
    pub(crate) fn decompress(self, bytes: &[u8]) -> Result<Vec<u8>, DecompressError> {
        let broken = |source| DecompressError::Broken {
            format: self.name(),
            source,
        };
        let mut decoder: Box<dyn Read + '_> = match self {
            Self::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
            // BCJ filters are liblzma's own matter.
            Self::Xz => Box::new(liblzma::read::XzDecoder::new(bytes)),
            Self::Lzma => {
                let stream = liblzma::stream::Stream::new_lzma_decoder(u64::MAX)
                    .map_err(|error| broken(error.into()))?;
                Box::new(liblzma::read::XzDecoder::new_stream(bytes, stream))
            }
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(bytes)
                    .map_err(broken)?
                    .single_frame();
                // Kernels are compressed with --ultra -22: a window of 128 MiB.
                decoder.window_log_max(27).map_err(broken)?;
                Box::new(decoder)
            }
            Self::Lz4 => {
                return lz4_legacy(bytes).map_err(broken);
            }
            Self::Lzo | Self::Bzip2 => {
                return Err(DecompressError::Unsupported {
                    format: self.name(),
                });
            }
        };
        let mut content = Vec::new();
        decoder
            .by_ref()
            .take(MAX_SIZE + 1)
            .read_to_end(&mut content)
            .map_err(broken)?;
        if content.len() as u64 > MAX_SIZE {
            return Err(DecompressError::TooLarge {
                format: self.name(),
            });
        }
        Ok(content)
    }
}

const LZ4_LEGACY: [u8; 4] = 0x184c_2102_u32.to_le_bytes();

/// A block of a legacy frame holds 8 MiB, the last one less.
const LZ4_BLOCK: usize = 8 << 20;

/// The legacy frame (`lz4 -l`), the only one the kernel's build writes: blocks
/// with their length before them. It has no end mark: what follows the last
/// block, a kernel's four bytes of length, is told by being longer than the rest.
fn lz4_legacy(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let broken = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut rest = bytes
        .strip_prefix(&LZ4_LEGACY)
        .ok_or_else(|| broken("no legacy frame".to_owned()))?;
    let mut content: Vec<u8> = Vec::new();
    let mut block = vec![0; LZ4_BLOCK];
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        if after.is_empty() {
            break;
        }
        let length = u32::from_le_bytes(*length) as usize;
        let compressed = after
            .get(..length)
            .ok_or_else(|| broken("the last block is cut".to_owned()))?;
        rest = &after[length..];
        let count = lz4_flex::block::decompress_into(compressed, &mut block)
            .map_err(|error| broken(error.to_string()))?;
        content.extend_from_slice(&block[..count]);
        if content.len() as u64 > MAX_SIZE {
            return Err(broken("larger than any kernel".to_owned()));
        }
    }
    Ok(content)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use super::*;

    pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(content: &[u8]) -> Vec<u8> {
        use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
        // As scripts/xz_wrap.sh does for x86.
        let mut filters = Filters::new();
        filters.x86();
        filters.lzma2(&LzmaOptions::new_preset(6).unwrap());
        let stream = Stream::new_stream_encoder(&filters, Check::Crc32).unwrap();
        let mut encoded = Vec::new();
        liblzma::read::XzEncoder::new_stream(content, stream)
            .read_to_end(&mut encoded)
            .unwrap();
        encoded
    }

    fn lzma(content: &[u8]) -> Vec<u8> {
        use liblzma::stream::{LzmaOptions, Stream};
        let stream = Stream::new_lzma_encoder(&LzmaOptions::new_preset(6).unwrap()).unwrap();
        let mut encoded = Vec::new();
        liblzma::read::XzEncoder::new_stream(content, stream)
            .read_to_end(&mut encoded)
            .unwrap();
        encoded
    }

    fn lz4(content: &[u8]) -> Vec<u8> {
        let mut encoded = LZ4_LEGACY.to_vec();
        for block in content.chunks(LZ4_BLOCK) {
            let compressed = lz4_flex::block::compress(block);
            encoded.extend(u32::try_from(compressed.len()).unwrap().to_le_bytes());
            encoded.extend(compressed);
        }
        encoded
    }

    #[test]
    fn every_supported_format_is_told_and_read_with_the_length_behind_it() {
        let content: Vec<u8> = (0..9_000_000_u32)
            .map(|number| (number / 7 % 251) as u8)
            .collect();
        let cases = [
            (Compression::Gzip, gzip(&content)),
            (Compression::Xz, xz(&content)),
            (Compression::Lzma, lzma(&content)),
            (
                Compression::Zstd,
                zstd::encode_all(content.as_slice(), 1).unwrap(),
            ),
            (Compression::Lz4, lz4(&content)),
        ];
        for (compression, mut bytes) in cases {
            assert_eq!(Compression::detect(&bytes), Some(compression));
            bytes.extend_from_slice(&9_000_000_u32.to_le_bytes());
            assert!(
                compression.decompress(&bytes).unwrap() == content,
                "{compression:?}"
            );
            let cut = &bytes[..bytes.len() / 2];
            assert!(compression.decompress(cut).is_err(), "{compression:?}, cut");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_all_the_same() {
        let lzo = [0x89, b'L', b'Z', b'O', 0];
        assert_eq!(Compression::detect(&lzo), Some(Compression::Lzo));
        assert_eq!(Compression::detect(b"BZh9"), Some(Compression::Bzip2));
        assert!(!Compression::Lzo.is_supported());
        assert!(matches!(
            Compression::Lzo.decompress(&lzo),
            Err(DecompressError::Unsupported { format: "lzo" })
        ));
        assert_eq!(Compression::detect(b"\x7fELF"), None);
    }
}
