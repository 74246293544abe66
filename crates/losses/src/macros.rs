//! The one pattern of every configuration.

use counterweight_core::ensure;

use crate::{ClassWeights, LossConfig, PosWeight, Result};

/// Declares a loss's configuration: the struct with its serde form, the defaults, `new`,
/// one `with_*` per field, and `check`, which runs the named rule on each field.
macro_rules! loss_config {
    (
        $(#[$doc:meta])*
        $config:ident $(: $kind:ident)? {
            $($(#[$field_doc:meta])* $field:ident / $with:ident: $ty:ty = $default:expr, $rule:ident;)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $config {
            $($(#[$field_doc])* pub $field: $ty,)*
        }

        impl Default for $config {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $config {
            $crate::macros::config_new!($($kind)?);

            $(
                #[doc = concat!("Sets `", stringify!($field), "`.")]
                #[must_use]
                pub fn $with(mut self, $field: $ty) -> Self {
                    self.$field = $field;
                    self
                }
            )*

            /// Checks the parameters that do not depend on the data.
            ///
            /// # Errors
            /// [`Error::OutOfRange`](crate::Error::OutOfRange) naming the parameter, its
            /// value and its range.
            pub fn check(&self) -> $crate::Result<()> {
                $($crate::macros::$rule(stringify!($field), &self.$field)?;)*
                Ok(())
            }
        }
    };
}
pub(crate) use loss_config;

/// `new()` for all but wrappers, whose `new` takes what they wrap.
macro_rules! config_new {
    () => {
        /// The defaults.
        #[must_use]
        pub fn new() -> Self {
            Self::default()
        }
    };
    (wrapper) => {};
}
pub(crate) use config_new;

type Rule = Result<()>;

pub(crate) fn any<T>(_: &'static str, _: &T) -> Rule {
    Ok(())
}

pub(crate) fn non_negative(name: &'static str, &x: &f64) -> Rule {
    Ok(ensure(name, x, x >= 0.0 && x.is_finite(), "[0, inf)")?)
}

pub(crate) fn positive(name: &'static str, &x: &f64) -> Rule {
    Ok(ensure(name, x, x > 0.0 && x.is_finite(), "(0, inf)")?)
}

pub(crate) fn negative(name: &'static str, &x: &f64) -> Rule {
    Ok(ensure(name, x, x < 0.0 && x.is_finite(), "(-inf, 0)")?)
}

pub(crate) fn unit(name: &'static str, &x: &f64) -> Rule {
    Ok(ensure(name, x, (0.0..=1.0).contains(&x), "[0, 1]")?)
}

pub(crate) fn below_one(name: &'static str, &x: &f64) -> Rule {
    Ok(ensure(name, x, (0.0..1.0).contains(&x), "[0, 1)")?)
}

pub(crate) fn positive_unit(name: &'static str, &x: &f64) -> Rule {
    Ok(ensure(name, x, x > 0.0 && x <= 1.0, "(0, 1]")?)
}

pub(crate) fn alpha(name: &'static str, alpha: &crate::Alpha) -> Rule {
    alpha.0.map_or(Ok(()), |alpha| unit(name, &alpha))
}

pub(crate) fn at_least_one(name: &'static str, &n: &usize) -> Rule {
    Ok(ensure(name, n as f64, n >= 1, "[1, inf)")?)
}

pub(crate) fn weights(_: &'static str, weights: &ClassWeights) -> Rule {
    weights.check()
}

pub(crate) fn pos_weight(_: &'static str, weight: &PosWeight) -> Rule {
    weight.check()
}

pub(crate) fn inner(_: &'static str, loss: &LossConfig) -> Rule {
    loss.check()
}

pub(crate) fn at_least_minus_one(name: &'static str, &x: &f64) -> Rule {
    Ok(ensure(name, x, x >= -1.0 && x.is_finite(), "[-1, inf)")?)
}
