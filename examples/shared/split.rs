//! A split for other programs to compare on.

use std::io::Write;
use std::path::Path;

use counterweight::core::write_atomic;
use counterweight::prelude::*;
use counterweight::{Error, Result};

/// The rows of each part as `OUT/split.csv`, for the scripts in `benches/peers`.
pub(crate) fn write_split(splits: &TextSplits, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out).map_err(|source| Error::Io { path: out.to_owned(), source })?;
    let mut csv = String::from("row,part\n");
    for (rows, part) in splits.rows.iter().zip(["train", "dev", "test"]) {
        rows.iter().for_each(|row| csv.push_str(&format!("{row},{part}\n")));
    }
    Ok(write_atomic(out.join("split.csv"), |w| w.write_all(csv.as_bytes()))?)
}
