//! What stands on an encoder.

mod classifier;
mod dual;
mod masked_lm;
mod prompt;
mod sentence;
mod tokens;

pub use classifier::{ClassifierConfig, HeadKind, TextClassifier};
pub use dual::DualEncoder;
pub use masked_lm::{Guess, Hidden, MaskedLm, hide_tokens};
pub use prompt::{PromptClassifier, Verbalizer};
pub use sentence::SentenceEncoder;
pub use tokens::{Tagged, TokenClassifier};
