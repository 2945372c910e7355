//! The record as JSON: a line for each kernel, image, cell and probe. Whoever
//! compares two of them in a repository sees the cells that changed, and a large run
//! is a third smaller than with a line for each value.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

use crate::Run;

/// What is nested deeper stands in its parent's line: the record's own members, and
/// what these hold, have lines of their own.
const LINES: usize = 2;

impl Run {
    /// Writes the record, its last line ended.
    ///
    /// # Errors
    /// When `writer` does not take it.
    pub fn write_json(&self, mut writer: impl Write) -> io::Result<()> {
        let formatter = Lines::default();
        let mut serializer = serde_json::Serializer::with_formatter(&mut writer, formatter);
        self.serialize(&mut serializer)?;
        writer.write_all(b"\n")
    }

    /// As [`Run::write_json`] writes it.
    ///
    /// # Errors
    /// When something of it cannot be put into JSON: a mistake of this program.
    pub fn to_json(&self) -> io::Result<String> {
        let mut json = Vec::new();
        self.write_json(&mut json)?;
        String::from_utf8(json).map_err(io::Error::other)
    }
}

/// With lines down to [`LINES`], compact below.
#[derive(Default)]
struct Lines {
    /// How many arrays and objects are open.
    depth: usize,
    /// The array or object that ends now has something in it.
    filled: bool,
}

impl Lines {
    fn begin<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        writer.write_all(bracket)
    }

    fn next<W: ?Sized + Write>(&self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        self.line(writer)
    }

    fn end<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        let lines = self.filled && self.depth <= LINES;
        self.depth -= 1;
        if lines {
            self.line(writer)?;
        }
        writer.write_all(bracket)
    }

    /// Begins a line where there are lines.
    fn line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        const INDENTATION: &[u8] = &[b' '; 2 * LINES];
        if self.depth > LINES {
            return Ok(());
        }
        writer.write_all(b"\n")?;
        writer.write_all(&INDENTATION[..2 * self.depth])
    }
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.next(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.next(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(if self.depth <= LINES { b": " } else { b":" })
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _writer: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_lists_hold_has_lines() {
        // In the alphabet's order, which a map has without `preserve_order`.
        let value = json!({
            "cells": [{ "attempts": [{ "boot": 1 }, { "boot": 2 }], "kernel": "6.1" }, {}],
            "kernels": [],
            "run": { "id": "x", "settings": { "jobs": "2", "none": {} } },
            "schema": 1,
        });
        let mut json = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut json, Lines::default());
        value.serialize(&mut serializer).unwrap();
        let json = String::from_utf8(json).unwrap();
        let lines = r#"{
  "cells": [
    {"attempts":[{"boot":1},{"boot":2}],"kernel":"6.1"},
    {}
  ],
  "kernels": [],
  "run": {
    "id": "x",
    "settings": {"jobs":"2","none":{}}
  },
  "schema": 1
}"#;
        assert_eq!(json, lines);
    }
}
