//! PAX extended headers: `LENGTH KEY=VALUE\n`, where VALUE is any bytes. (The tar
//! crate splits at newlines, and so refuses a file capability that holds one.)

use std::collections::BTreeMap;

/// The records of an extended header: of those of one key the last counts.
pub(super) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// What an extended attribute's key begins with.
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";

/// What the keys of a sparse file's records begin with.
pub(super) const SPARSE: &[u8] = b"GNU.sparse.";

/// Reads an extended header's body; what is wrong with it otherwise.
pub(super) fn parse(mut body: &[u8]) -> Result<Records, &'static str> {
    let mut records = Records::new();
    while !body.is_empty() {
        let space = body
            .iter()
            .take(20)
            .position(|byte| *byte == b' ')
            .ok_or("a record without a length")?;
        let length: usize = std::str::from_utf8(&body[..space])
            .ok()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .ok_or("a record's length is not a number")?;
        if length > body.len() || length < space + 3 {
            return Err("a record's length does not fit");
        }
        let (record, rest) = body.split_at(length);
        let record = record[space + 1..]
            .strip_suffix(b"\n")
            .ok_or("a record without its newline")?;
        let equals = record
            .iter()
            .position(|byte| *byte == b'=')
            .ok_or("a record without a =")?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if is_read(key) {
            records.insert(key.to_vec(), value.to_vec());
        }
        body = rest;
    }
    Ok(records)
}

/// Whether anything is made of a record. A global header's are copied for each member,
/// so what is not read is not kept.
fn is_read(key: &[u8]) -> bool {
    matches!(
        key,
        b"path" | b"linkpath" | b"size" | b"uid" | b"gid" | b"mtime"
    ) || key.starts_with(SPARSE)
        || key.starts_with(XATTR)
}

/// What this key's record says. One without a value takes back an earlier one, and
/// the header's own field counts again.
pub(super) fn given<'records>(records: &'records Records, key: &[u8]) -> Option<&'records [u8]> {
    records
        .get(key)
        .map(Vec::as_slice)
        .filter(|value| !value.is_empty())
}

/// Appends a record.
pub(super) fn append(body: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // Space, =, newline.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    // The length counts its own digits.
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    body.extend_from_slice(length.to_string().as_bytes());
    body.push(b' ');
    body.extend_from_slice(key);
    body.push(b'=');
    body.extend_from_slice(value);
    body.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_every_length_survive_with_any_bytes() {
        for length in (0..120).chain([990, 991, 992, 993, 994, 9_985, 9_990]) {
            let value: Vec<u8> = (0..length).map(|at| (at * 7 % 256) as u8).collect();
            let mut body = Vec::new();
            append(&mut body, b"SCHILY.xattr.user.x", &value);
            append(&mut body, b"path", b"a\n12 path=b");
            append(&mut body, b"comment", b"nothing is made of it");
            let expected = Records::from([
                (b"SCHILY.xattr.user.x".to_vec(), value),
                (b"path".to_vec(), b"a\n12 path=b".to_vec()),
            ]);
            assert_eq!(parse(&body).unwrap(), expected, "{length}");
        }
    }

    #[test]
    fn the_last_record_of_a_key_counts_and_an_empty_one_takes_back() {
        let mut body = Vec::new();
        append(&mut body, b"path", b"first");
        append(&mut body, b"path", b"second");
        append(&mut body, b"linkpath", b"taken back");
        append(&mut body, b"linkpath", b"");
        append(&mut body, b"SCHILY.xattr.user.empty", b"");
        let records = parse(&body).unwrap();
        assert_eq!(given(&records, b"path"), Some(&b"second"[..]));
        assert_eq!(given(&records, b"linkpath"), None);
        assert!(records.contains_key(&b"SCHILY.xattr.user.empty"[..]));
    }

    #[test]
    fn broken_records_are_refused() {
        for body in [
            &b"path=x\n"[..],
            b"99 path=x\n",
            b"3 p",
            b"+9 path=x\n",
            b"9 path=xy\n",
            b"9 path+x\n",
            b"0 ",
        ] {
            assert!(parse(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
    }
}
