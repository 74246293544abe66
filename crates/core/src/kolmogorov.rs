/// The Kolmogorov-Smirnov statistic: the largest difference between two empirical distribution
/// functions, in `[0, 1]`; both samples sorted, 0 when either is empty.
///
/// ```
/// use counterweight_core::kolmogorov_smirnov;
///
/// assert_eq!(kolmogorov_smirnov(&[1.0, 2.0, 3.0, 4.0], &[3.0, 4.0, 5.0, 6.0]), 0.5);
/// assert_eq!(kolmogorov_smirnov(&[1.0, 1.0], &[1.0]), 0.0);
/// assert_eq!(kolmogorov_smirnov(&[0.0], &[1.0]), 1.0);
/// ```
pub fn kolmogorov_smirnov(a: &[f64], b: &[f64]) -> f64 {
    let (mut i, mut j, mut most) = (0, 0, 0.0f64);
    while i < a.len() && j < b.len() {
        let at = a[i].min(b[j]);
        i += a[i..].iter().take_while(|v| **v <= at).count();
        j += b[j..].iter().take_while(|v| **v <= at).count();
        most = most.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    most
}
