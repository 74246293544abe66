use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// An integer.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A category.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(v) => write!(f, "{v}"),
            Self::Float(v) if v.abs() >= 0.01 || *v == 0.0 => write!(f, "{v:.4}"),
            Self::Float(v) => write!(f, "{v:.2e}"),
            Self::Text(v) => f.write_str(v),
        }
    }
}

/// Parameter values by name.
pub type Params = BTreeMap<String, Value>;
