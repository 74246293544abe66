//! Data at the door: CSV files of texts and tables, checked once.

mod csv_file;
mod predictions;
mod table;
mod text;

pub use predictions::PredictionTable;
pub use table::Table;
pub(crate) use text::check_texts;
pub use text::{Skipped, TextData, TextReader, TextSplits};
