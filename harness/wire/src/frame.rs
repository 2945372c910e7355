//! Frames: how a message travels over a byte stream.

use std::io::{self, Read, Write};

use serde::{Serialize, de::DeserializeOwned};

/// The longest frame either side accepts, bytes. A runtime binary fits; a
/// corrupted length does not make the reader allocate the world.
pub const MAX_FRAME: u32 = 64 << 20;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream ended between two frames.
    #[error("the channel was closed")]
    Closed,
    /// The stream failed, or ended inside a frame.
    #[error("the channel failed: {0}")]
    Io(#[from] io::Error),
    /// The announced length is out of bounds.
    #[error("a frame of {0} bytes is longer than any message")]
    TooLong(u64),
    /// The bytes are no message.
    #[error("a frame could not be decoded: {0}")]
    Decode(#[from] postcard::Error),
}

/// Writes one message and flushes.
///
/// # Errors
/// When the stream fails or the message is longer than [`MAX_FRAME`].
pub fn write<M: Serialize>(stream: &mut impl Write, message: &M) -> Result<(), FrameError> {
    let body = postcard::to_stdvec(message)?;
    let length = u32::try_from(body.len())
        .ok()
        .filter(|length| *length <= MAX_FRAME)
        .ok_or(FrameError::TooLong(body.len() as u64))?;
    // One buffer, one write: a virtio-serial write per frame, not two.
    let mut frame = Vec::with_capacity(body.len() + 4);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&body);
    stream.write_all(&frame)?;
    stream.flush()?;
    Ok(())
}

/// Reads one message.
///
/// # Errors
/// [`FrameError::Closed`] when the stream ends before a frame begins; the other
/// kinds when it breaks inside one.
pub fn read<M: DeserializeOwned>(stream: &mut impl Read) -> Result<M, FrameError> {
    let mut length = [0; 4];
    let mut filled = 0;
    while filled < length.len() {
        match stream.read(&mut length[filled..]) {
            Ok(0) if filled == 0 => return Err(FrameError::Closed),
            Ok(0) => return Err(FrameError::Io(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FrameError::Io(error)),
        }
    }
    let length = u32::from_le_bytes(length);
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(u64::from(length)));
    }
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body)?;
    Ok(postcard::from_bytes(&body)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FromGuest, ToGuest};

    #[test]
    fn messages_survive_the_trip_one_after_the_other() {
        let sent = [
            ToGuest::Put {
                path: "/a".into(),
                mode: 0o755,
                content: vec![0, 255, 10],
            },
            ToGuest::PowerOff,
        ];
        let mut stream = Vec::new();
        for message in &sent {
            write(&mut stream, message).unwrap();
        }
        let mut reader = stream.as_slice();
        for message in &sent {
            assert_eq!(&read::<ToGuest>(&mut reader).unwrap(), message);
        }
        assert!(matches!(
            read::<ToGuest>(&mut reader),
            Err(FrameError::Closed)
        ));
    }

    #[test]
    fn a_stream_that_ends_inside_a_frame_is_not_a_clean_end() {
        let mut stream = Vec::new();
        write(&mut stream, &FromGuest::Fatal { reason: "x".into() }).unwrap();
        for cut in 1..stream.len() {
            let result = read::<FromGuest>(&mut &stream[..cut]);
            assert!(
                matches!(result, Err(FrameError::Io(_))),
                "cut at {cut}: {result:?}"
            );
        }
    }

    #[test]
    fn a_corrupted_length_is_refused_before_anything_is_allocated() {
        let stream = u32::MAX.to_le_bytes();
        assert!(matches!(
            read::<FromGuest>(&mut &stream[..]),
            Err(FrameError::TooLong(_))
        ));
    }
}
