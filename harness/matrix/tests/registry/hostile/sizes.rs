//! Bombs, and archives that are none.

use tar::{EntryType, Header};

use super::End::Refused;
use super::{Row, SMALL, row};
use crate::tar_file::{Member, TarFile, record};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            environment: SMALL,
            ..row(
                "a gigabyte of zeros in a megabyte of gzip",
                Refused("more than 64 MiB in its files"),
                |trial| {
                    trial.endless(|out| {
                        let mut head = TarFile::new();
                        let size = Some(1 << 30);
                        head.add(
                            &Member {
                                size,
                                ..Member::file("zeros")
                            },
                            b"",
                        );
                        out.write_all(&head.part())?;
                        zeros(out, 1 << 30)
                    });
                },
            )
        },
        Row {
            environment: SMALL,
            ..row(
                "a gigabyte of zeros behind the archive's end",
                Refused(
                    "it decompresses to more than an image may have (MATRIX_IMAGE_MIB allows more)",
                ),
                |trial| {
                    trial.endless(|out| {
                        let mut tar = TarFile::new();
                        tar.add(&Member::file("a"), b"x");
                        out.write_all(&tar.end())?;
                        zeros(out, 1 << 30)
                    });
                },
            )
        },
        Row {
            environment: SMALL,
            ..row(
                "a file of a terabyte that is all hole",
                Refused("more than 64 MiB in its files"),
                |trial| {
                    let mut tar = TarFile::new();
                    tar.add_pax_sparse("hole", 1 << 40, &[]);
                    trial.layer(&tar.end());
                },
            )
        },
        row(
            "a zstd frame that wants a window of 2 GiB",
            Refused("requires too much memory"),
            |trial| {
                // Magic; no size, no checksum; 2^31; the last block, of one byte 1,000 times.
                let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3];
                frame.extend((1000_u32 << 3 | 1 << 1 | 1).to_le_bytes()[..3].to_vec());
                frame.push(0);
                trial.kept(frame);
            },
        ),
        Row {
            most: 200,
            ..row(
                "a million and one entries",
                Refused("more than 1000000 entries"),
                |trial| {
                    trial.endless(|out| {
                        let mut header = Header::new_gnu();
                        header.set_entry_type(EntryType::Regular);
                        header.set_mode(0o644);
                        header.set_uid(0);
                        header.set_gid(0);
                        header.set_mtime(0);
                        header.set_size(0);
                        for number in 0..=1_000_000 {
                            let name = format!("{:03}/{:04}", number / 1000, number % 1000);
                            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
                            header.set_cksum();
                            out.write_all(header.as_bytes())?;
                        }
                        out.write_all(&[0; 1024])
                    });
                },
            )
        },
        row(
            "a PAX header of 8 MiB",
            Refused("longer than any name or attribute can be"),
            |trial| {
                let mut tar = TarFile::new();
                tar.extension(EntryType::XHeader, &record("comment", &vec![b'x'; 8 << 20]));
                tar.add(&Member::file("a"), b"x");
                trial.layer(&tar.end());
            },
        ),
        row(
            "PAX headers of 1 MiB without end",
            Refused("longer than any name or attribute can be"),
            |trial| {
                trial.endless(|out| {
                    let mut one = TarFile::new();
                    one.extension(EntryType::XHeader, &record("comment", &vec![b'x'; 1 << 20]));
                    let one = one.part();
                    (0..1000).try_for_each(|_| out.write_all(&one))
                });
            },
        ),
        Row {
            most: 200,
            ..row(
                "an attribute of 1 MiB that one header gives to all entries",
                Refused("more than 128 MiB of names and extended attributes"),
                |trial| {
                    let mut tar = TarFile::new();
                    let value = vec![b'x'; 1 << 20];
                    let body = record("SCHILY.xattr.user.large", &value);
                    tar.extension(EntryType::XGlobalHeader, &body);
                    for number in 0..400 {
                        tar.add(&Member::file(&number.to_string()), b"");
                    }
                    trial.layer(&tar.end());
                },
            )
        },
        row(
            "an archive that is cut short",
            Refused("bytes are missing of 2000"),
            |trial| {
                let mut tar = TarFile::new();
                tar.add(&Member::file("a"), &[b'x'; 2000]);
                trial.layer(&tar.end()[..1000]);
            },
        ),
        row(
            "a web page as a layer",
            Refused("not a tar archive"),
            |trial| {
                trial.layer("<!DOCTYPE html><html></html>\n".repeat(100).as_bytes());
            },
        ),
        row(
            "a layer in xz",
            Refused("compressed with xz, which no layer is"),
            |trial| {
                trial.kept([&[0xfd, b'7', b'z', b'X', b'Z', 0][..], &[0; 600]].concat());
            },
        ),
    ]
}

fn zeros(out: &mut dyn std::io::Write, count: usize) -> std::io::Result<()> {
    let piece = vec![0; 1 << 20];
    (0..count >> 20).try_for_each(|_| out.write_all(&piece))
}
