//! Comparing predictions from files: what the report says and what bad files are told.

use std::path::Path;

use counterweight::PredictionTable;
use counterweight::metrics::Bootstrap;
use counterweight::prelude::*;
use ndarray::{Array2, array};

/// Scores of a rare class; `gap` is how well it is told from the other.
fn scored(gap: f64) -> (Predictions, Vec<String>) {
    let truth: Vec<usize> = (0..200).map(|i| usize::from(i % 10 == 0)).collect();
    let p = Array2::from_shape_fn((200, 2), |(row, class)| {
        let noise = ((row * 37) % 101) as f64 / 101.0;
        let rare = (0.1 + 0.5 * noise + gap * truth[row] as f64).min(0.99);
        if class == 1 { rare } else { 1.0 - rare }
    });
    let groups = (0..200).map(|i| ["north", "south"][i % 3 % 2].to_owned()).collect();
    (Predictions::new(truth, p).unwrap(), groups)
}

#[test]
fn a_better_model_of_two_classes_is_seen_by_every_test() {
    let ((before, groups), (after, _)) = (scored(0.05), scored(0.45));
    let profile = ClassProfile::from_counts([900, 100]).unwrap();
    let bootstrap = Bootstrap::new().with_resamples(200);
    let report = CompareReport::new(&before, &after, &profile, &bootstrap).unwrap();
    let report = report.with_groups(&before, &after, &groups, &profile).unwrap();
    let auroc = &report.curves[0];
    assert_eq!(auroc.metric.name(), "auroc");
    assert!(auroc.difference.low > 0.0, "{auroc:?}");
    let delong = report.delong.unwrap();
    assert!((delong.difference - auroc.difference.value).abs() < 1e-12);
    assert!(delong.p_value < 0.01);
    assert!(report.metric(Metric::TailRecall).unwrap().difference.value > 0.0);
    let (fair, _) = report.fairness.as_ref().unwrap();
    assert_eq!(fair.groups.len(), 2);
    let text = report.to_string();
    for part in ["auroc", "average_precision", "McNemar", "DeLong", "equalised odds", "north"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let html = report.html("A & B", &profile, &[]).unwrap();
    for part in ["A &amp; B", "ROC", "F = 0.8", "Reliability", "By threshold, after", "iba"] {
        assert!(html.contains(part), "{part} is missing");
    }
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    assert!(html.matches("<svg").count() >= 10);
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["delong"]["p_value"].as_f64().unwrap() < 0.01);
}

#[test]
fn predictions_are_written_read_and_put_in_another_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.csv");
    let (predictions, groups) = scored(0.3);
    let names = ["com,mon".to_owned(), "rare".to_owned()];
    let table = PredictionTable::new(predictions, &names, Some(groups)).unwrap();
    table.write_csv(&path).unwrap();
    let read = PredictionTable::read_csv(&path).unwrap();
    assert_eq!((read.names(), read.groups()), (table.names(), table.groups()));
    assert_eq!(read.predictions().truth(), table.predictions().truth());
    let gap = read.predictions().probabilities() - table.predictions().probabilities();
    assert!(gap.iter().all(|d| d.abs() < 1e-6));
    let turned = read.in_order(&["rare".to_owned(), "com,mon".to_owned()]).unwrap();
    for (a, b) in turned.predictions().truth().iter().zip(read.predictions().truth()) {
        assert_eq!(*a, 1 - b);
    }
    assert_eq!(turned.in_order(read.names()).unwrap(), read);
    assert!(read.in_order(&["rare".to_owned(), "other".to_owned()]).is_err());
}

#[test]
fn bad_files_are_told_where() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.csv");
    let message = |text: &str| {
        std::fs::write(&path, text).unwrap();
        PredictionTable::read_csv(&path).unwrap_err().to_string()
    };
    assert!(message("a,b\n0.5,0.5\n").contains("no column \"truth\""));
    let cell = message("truth,a,b\na,0.5,0.5\nb,NaN,1\n");
    assert!(cell.contains("row 2, column \"a\": \"NaN\" is not a finite number"), "{cell}");
    let class = message("truth,a,b\nc,0.5,0.5\n");
    assert!(class.contains("row 1: the true class \"c\" has no column"), "{class}");
    assert!(message("truth,a,b\na,0.5,0.9\n").contains("do not sum to 1"));
    assert!(message("truth,a,a\na,0.5,0.5\n").contains("class \"a\" appears twice"));
    assert!(message("truth,a,b\n").contains("predictions is empty"));
    let missing = PredictionTable::read_csv(Path::new("nowhere.csv")).unwrap_err();
    assert!(missing.to_string().contains("nowhere.csv"));
    let own = Predictions::new(vec![0], array![[0.5, 0.5]]).unwrap();
    let names = ["truth".to_owned(), "b".to_owned()];
    assert!(PredictionTable::new(own, &names, None).is_err());
}
