//! Calibrators against scikit-learn, betacal and scipy (`fixtures/generate_calibration.py`), and
//! the coverage of conformal sets.

use counterweight_core::rng;
use counterweight_metrics::{
    BinaryCalibrator, BinaryMethod, Calibration, CalibratorConfig, Conformal, ConformalScore,
    Predictions,
};
use ndarray::{Array2, array};
use rand::RngExt;
use serde::Deserialize;

#[derive(Deserialize)]
struct Binary {
    p: Vec<f64>,
    came: Vec<bool>,
    grid: Vec<f64>,
    platt: Vec<f64>,
    beta: Vec<f64>,
    isotonic: Vec<f64>,
    equal_mass: f64,
    brier: f64,
    reliability: f64,
    resolution: f64,
}

#[derive(Deserialize)]
struct Multi {
    truth: Vec<usize>,
    p: Vec<Vec<f64>>,
    vector_loss: f64,
    dirichlet_loss: f64,
    class_wise: f64,
}

#[derive(Deserialize)]
struct Fixture {
    binary: Vec<Binary>,
    multi: Vec<Multi>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/calibration.json")).unwrap()
}

#[track_caller]
fn near(got: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((got - expected).abs() < tolerance, "{what}: {got}, the peer {expected}");
}

#[test]
fn binary_calibrators_are_the_peers() {
    for c in fixture().binary {
        // scikit-learn's logistic fit for Platt scaling stops early.
        for (method, expected, tolerance) in [
            (BinaryMethod::Platt, &c.platt, 1e-3),
            (BinaryMethod::Beta, &c.beta, 1e-6),
            (BinaryMethod::Isotonic, &c.isotonic, 1e-12),
        ] {
            let fitted = BinaryCalibrator::fit(method, &c.p, &c.came).unwrap();
            let saved = serde_json::to_string(&fitted).unwrap();
            assert_eq!(serde_json::from_str::<BinaryCalibrator>(&saved).unwrap(), fitted);
            for (&x, &y) in c.grid.iter().zip(expected) {
                near(fitted.apply(x), y, tolerance, &format!("{method:?} at {x}"));
            }
        }
        let mass = Calibration::equal_mass(&c.p, &c.came, 5).unwrap();
        near(mass.ece().unwrap(), c.equal_mass, 1e-12, "equal-mass ECE");
        let mut bins = Calibration::new(10);
        c.p.iter().zip(&c.came).for_each(|(&p, &came)| bins.update(p, came).unwrap());
        let parts = bins.brier().unwrap();
        near(parts.score, c.brier, 1e-12, "Brier");
        near(parts.reliability, c.reliability, 1e-12, "reliability");
        near(parts.resolution, c.resolution, 1e-12, "resolution");
        let whole = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins;
        near(whole, parts.score, 1e-12, "sum of the parts");
    }
}

#[test]
fn multiclass_calibrators_reach_the_minimum() {
    for c in fixture().multi {
        let classes = c.p[0].len();
        let p = Array2::from_shape_vec((c.truth.len(), classes), c.p.concat()).unwrap();
        let dev = Predictions::new(c.truth, p).unwrap();
        near(dev.class_wise_ece(10).unwrap(), c.class_wise, 1e-12, "class-wise ECE");
        let loss = |config: CalibratorConfig| {
            config.fit(&dev).unwrap().calibrate(&dev).unwrap().log_loss()
        };
        near(loss(CalibratorConfig::Vector), c.vector_loss, 1e-8, "vector scaling");
        // The penalised minimum is flat in the loss alone.
        near(loss(CalibratorConfig::dirichlet()), c.dirichlet_loss, 1e-6, "Dirichlet");
        assert!(loss(CalibratorConfig::Temperature) <= dev.log_loss() + 1e-12);
        assert!(loss(CalibratorConfig::Vector) <= loss(CalibratorConfig::Temperature) + 1e-9);
    }
}

#[test]
fn every_calibrator_gives_distributions_and_is_saved() {
    let p = array![[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.3, 0.6], [1.0, 0.0, 0.0]];
    let dev = Predictions::new(vec![0, 1, 2, 1], p.clone()).unwrap();
    let mut configs = vec![
        CalibratorConfig::Temperature,
        CalibratorConfig::Vector,
        CalibratorConfig::dirichlet(),
    ];
    for method in [
        BinaryMethod::Platt,
        BinaryMethod::Beta,
        BinaryMethod::Isotonic,
        BinaryMethod::Histogram { bins: 5 },
    ] {
        configs.push(CalibratorConfig::OneVsRest { method });
    }
    for config in configs {
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<CalibratorConfig>(&text).unwrap(), config);
        let calibrator = config.fit(&dev).unwrap();
        for row in calibrator.apply(&p).unwrap().rows() {
            assert!((row.sum() - 1.0).abs() < 1e-9, "{config:?}: {row}");
            assert!(row.iter().all(|v| (0.0..=1.0 + 1e-9).contains(v)), "{config:?}: {row}");
        }
        assert!(
            calibrator.apply(&array![[0.5, 0.5]]).is_err()
                || config == CalibratorConfig::Temperature
        );
        let saved = serde_json::to_string(&calibrator).unwrap();
        let loaded: counterweight_metrics::Calibrator = serde_json::from_str(&saved).unwrap();
        assert_eq!(loaded, calibrator);
    }
}

#[test]
fn bad_calibration_input_is_named() {
    let fit = |p: &[f64], came: &[bool]| {
        BinaryCalibrator::fit(BinaryMethod::Platt, p, came).unwrap_err().to_string()
    };
    assert_eq!(fit(&[0.5, 1.5], &[true, false]), "probability 1.5 of row 1 is outside [0, 1]");
    assert!(fit(&[], &[]).starts_with("events is empty"));
    assert!(fit(&[0.5], &[]).contains("events has 0 items"));
    let bins = BinaryMethod::Histogram { bins: 0 };
    assert!(BinaryCalibrator::fit(bins, &[0.5], &[true]).is_err());
    let negative = CalibratorConfig::Dirichlet { off_diagonal: -1.0, offsets: 0.0 };
    let dev = Predictions::new(vec![0], array![[0.5, 0.5]]).unwrap();
    assert_eq!(
        negative.fit(&dev).unwrap_err().to_string(),
        "off_diagonal = -1 is outside [0, inf)"
    );
    assert!(Calibration::new(5).update(f64::NAN, true).is_err());
}

/// A rare class that the model under-predicts.
fn rows(n: usize, seed: u64) -> Predictions {
    let mut rng = rng(seed);
    let (mut truth, mut p) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let rare = rng.random::<f64>() < 0.1;
        let z: f64 = rng.random::<f64>() * 2.0 - if rare { 1.5 } else { 0.0 };
        let head = 1.0 / (1.0 + (-2.0 * z).exp());
        truth.push(usize::from(rare));
        p.extend([head, 1.0 - head]);
    }
    Predictions::new(truth, Array2::from_shape_vec((n, 2), p).unwrap()).unwrap()
}

#[test]
fn conformal_sets_cover_and_per_class_ones_cover_the_rare_class() {
    let (calibration, test) = (rows(4000, 1), rows(8000, 2));
    for score in [ConformalScore::Threshold, ConformalScore::Adaptive] {
        let marginal = Conformal::fit(&calibration, score, 0.1).unwrap();
        let sets = marginal.predict(test.probabilities()).unwrap();
        let coverage = sets.coverage(test.truth()).unwrap().unwrap();
        assert!(
            (coverage - 0.9).abs() < 0.02 || score == ConformalScore::Adaptive && coverage > 0.88,
            "{coverage}"
        );
        let by_class = Conformal::per_class(&calibration, score, 0.1).unwrap();
        let saved = serde_json::to_string(&by_class).unwrap();
        assert_eq!(serde_json::from_str::<Conformal>(&saved).unwrap(), by_class);
        let sets = by_class.predict(test.probabilities()).unwrap();
        for coverage in sets.coverage_by_class(test.truth()).unwrap() {
            assert!(coverage.unwrap() > 0.87, "{score:?} {coverage:?}");
        }
        assert!(sets.mean_size().unwrap() < 2.0);
    }
    // Without enough rows of a class nothing is certain: it is in every set.
    let few = Predictions::new(vec![0, 0, 1], array![[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]).unwrap();
    let sets = Conformal::per_class(&few, ConformalScore::Threshold, 0.1).unwrap();
    assert_eq!(sets.predict(&array![[1.0, 0.0]]).unwrap().sets(), [vec![0, 1]]);
    assert!(Conformal::fit(&few, ConformalScore::Threshold, 0.0).is_err());
}
