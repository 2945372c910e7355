//! The images' files, for who wants to know why a cell failed: opened when the first
//! cell of an image does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use supply::{Contents, ContentsError, Place};
use verdict::userland::{Found, Userland};

/// An image's files.
#[derive(Debug)]
pub(crate) struct ImageFiles(Contents);

impl ImageFiles {
    /// The files on an image's disk.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn open(disk: &Path) -> Result<Self, ContentsError> {
        Contents::open(disk).map(Self)
    }
}

impl Userland for ImageFiles {
    fn find(&self, path: &str) -> io::Result<Found> {
        const ANYBODY: u16 = 0o111;
        Ok(match self.0.find(path) {
            Place::File { path, mode } => Found::File {
                path,
                executable: mode & ANYBODY != 0,
            },
            Place::Other => Found::Other,
            Place::Missing => Found::Missing,
        })
    }

    fn files(&self) -> io::Result<Vec<String>> {
        Ok(self.0.files().collect())
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.read(path).map_err(io::Error::other)
    }
}

/// Those of a kernel's images, by their disks.
#[derive(Debug, Default)]
pub(crate) struct Userlands(RefCell<BTreeMap<PathBuf, Opened>>);

type Opened = Result<Rc<ImageFiles>, Rc<ContentsError>>;

impl Userlands {
    /// The files on a disk; why not, where it cannot be read.
    pub(crate) fn get(&self, disk: &Path) -> Opened {
        self.0
            .borrow_mut()
            .entry(disk.to_owned())
            .or_insert_with(|| ImageFiles::open(disk).map(Rc::new).map_err(Rc::new))
            .clone()
    }
}
