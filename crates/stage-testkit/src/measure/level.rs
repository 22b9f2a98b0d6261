use super::power_to_db;

/// The rms of a span in dBFS: a full-scale sine wave has -3.01, silence
/// [`SILENCE_DB`](super::SILENCE_DB).
#[must_use]
pub fn rms_dbfs(signal: &[f32]) -> f64 {
    let energy: f64 = signal.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    power_to_db(energy / signal.len().max(1) as f64)
}

/// The largest sample of a span in dBFS: 0 at full scale.
#[must_use]
pub fn peak_dbfs(signal: &[f32]) -> f64 {
    let peak = signal.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
    power_to_db(f64::from(peak).powi(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::SILENCE_DB;

    #[test]
    fn a_square_wave_has_its_peak_as_rms() {
        let square = [0.5, -0.5, 0.5, -0.5];
        assert!((rms_dbfs(&square) + 6.02).abs() < 0.01);
        assert!((peak_dbfs(&square) + 6.02).abs() < 0.01);
    }

    #[test]
    fn silence_is_finite() {
        assert_eq!(rms_dbfs(&[0.0; 10]), SILENCE_DB);
        assert_eq!(peak_dbfs(&[]), SILENCE_DB);
        assert_eq!(rms_dbfs(&[]), SILENCE_DB);
    }
}
