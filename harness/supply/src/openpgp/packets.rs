//! The packets a keyring is made of (RFC 9580, 4.2), as far as it takes to leave some
//! out.

/// A Trust packet's tag: what a GnuPG keyring notes for itself between the packets of
/// a certificate. The `pgp` crate takes it for the end of one.
const TRUST: u8 = 12;

/// The same packets without those that say nothing to others. What is no packet is
/// left for the parser to refuse.
pub(super) fn without_trust(keyring: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(keyring.len());
    let mut rest = keyring;
    while let Some((tag, length)) = packet(rest) {
        let (whole, after) = rest.split_at(length);
        if tag != TRUST {
            kept.extend_from_slice(whole);
        }
        rest = after;
    }
    kept.extend_from_slice(rest);
    kept
}

/// Tag and length, header included, of the packet that `bytes` begin with; none where
/// that is none, is cut, or has no length of its own.
fn packet(bytes: &[u8]) -> Option<(u8, usize)> {
    let first = *bytes.first()?;
    let number = |from: usize, count: usize| {
        let digits = bytes.get(from..from + count)?;
        Some(
            digits
                .iter()
                .fold(0, |sum, byte| (sum << 8) | usize::from(*byte)),
        )
    };
    let (tag, header, body) = match first {
        // The new format: the length's first byte tells how long the length is.
        0xc0.. => {
            let tag = first & 0x3f;
            match usize::from(*bytes.get(1)?) {
                short @ 0..192 => (tag, 2, short),
                middle @ 192..224 => (tag, 3, ((middle - 192) << 8) + number(2, 1)? + 192),
                255 => (tag, 6, number(2, 4)?),
                // In pieces, as no packet of a keyring is.
                _ => return None,
            }
        }
        // The old one: the tag's byte tells.
        0x80..0xc0 => {
            let tag = (first >> 2) & 0x0f;
            let count = match first & 3 {
                0 => 1,
                1 => 2,
                2 => 4,
                _ => return None,
            };
            (tag, 1 + count, number(1, count)?)
        }
        _ => return None,
    };
    let length = header.checked_add(body)?;
    (length <= bytes.len()).then_some((tag, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_left_out_in_either_format() {
        let long = vec![7; 300];
        let new_long = [&[0xc2, 192, 108], long.as_slice()].concat();
        let old_long = [&[0x99, 1, 44], long.as_slice()].concat();
        let pieces: [&[u8]; 6] = [
            &[0xb0, 2, 9, 9],
            &old_long,
            &[0xcc, 1, 9],
            &new_long,
            &[0xb4, 1, 5],
            &[0xcd, 255, 0, 0, 0, 1, 5],
        ];
        let kept = [
            &*old_long,
            &new_long,
            &[0xb4, 1, 5],
            &[0xcd, 255, 0, 0, 0, 1, 5],
        ]
        .concat();
        assert_eq!(without_trust(&pieces.concat()), kept);
    }

    #[test]
    fn what_is_no_packet_stays() {
        for bytes in [
            b"".as_slice(),
            b"text",
            &[0xb0],
            &[0xb0, 9, 1],
            &[0xc2, 230, 1],
            &[0xcd, 255, 255, 255, 255, 255],
        ] {
            assert_eq!(without_trust(bytes), bytes);
        }
    }
}
