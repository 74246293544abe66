//! The one form in which every crate reports a parameter outside its range, or arrays
//! that are not aligned.

/// A parameter outside its allowed range.
///
/// The message names the parameter, the value and the range, for example
/// `gamma = -1 is outside [0, inf)`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{name} = {value} is outside {allowed}")]
pub struct OutOfRange {
    /// The parameter's name as the user wrote it.
    pub name: &'static str,
    /// The offending value.
    pub value: f64,
    /// The allowed range in interval notation.
    pub allowed: &'static str,
}

/// Returns [`OutOfRange`] unless `ok` holds; NaN is refused whatever `ok` says.
///
/// ```
/// use counterweight_core::ensure;
///
/// let gamma = -1.0;
/// let err = ensure("gamma", gamma, gamma >= 0.0, "[0, inf)").unwrap_err();
/// assert_eq!(err.to_string(), "gamma = -1 is outside [0, inf)");
/// ```
pub fn ensure(
    name: &'static str,
    value: f64,
    ok: bool,
    allowed: &'static str,
) -> Result<(), OutOfRange> {
    if ok && !value.is_nan() {
        return Ok(());
    }
    Err(OutOfRange { name, value, allowed })
}

/// Returns [`Error::Length`](crate::Error::Length) unless two aligned arrays are as long.
///
/// # Errors
/// Naming the array, its length and the length it should have.
pub fn ensure_length(what: &'static str, got: usize, expected: usize) -> crate::Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(crate::Error::Length { what, got, expected })
}
