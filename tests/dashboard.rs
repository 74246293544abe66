//! Training in a renderer of burn.
#![cfg(feature = "tui")]

mod common;

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::MetricDefinition;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};
use burn::train::{Interrupter, LearnerSummary};
use counterweight::prelude::*;
use counterweight::{Dashboard, Error};

/// Writes down what it is told, and asks for a stop at an item.
#[derive(Clone, Default)]
struct Script {
    told: Arc<Mutex<Vec<String>>>,
    stop_at: Option<usize>,
    interrupter: Interrupter,
}

impl Script {
    fn note(&self, line: String) {
        self.told.lock().unwrap().push(line);
    }

    fn number(&self, part: &str, state: &MetricState) {
        let MetricState::Numeric(entry, Some(_)) = state else { panic!("{state:?}") };
        self.note(format!("{part} {}", entry.serialized_entry.formatted));
    }
}

impl MetricsRendererTraining for Script {
    fn update_train(&mut self, state: MetricState) {
        self.number("train", &state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.number("dev", &state);
    }

    fn on_train_end(
        &mut self,
        _: Option<LearnerSummary>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        Ok(())
    }
}

impl MetricsRendererEvaluation for Script {
    fn update_test(&mut self, _: EvaluationName, _: MetricState) {}
}

impl MetricsRenderer for Script {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.note(format!("metric {}", definition.name));
    }
}

impl TrainingProgressLogger for Script {
    fn start(&mut self, _: usize, _: usize, items: Option<usize>, label: Option<&str>) {
        self.note(format!("start {label:?} {items:?}"));
    }

    fn update_epoch(&mut self, _: usize) {}

    fn start_split(&mut self, _: &str, _: usize) {}

    fn update_split(&mut self, items: usize) {
        self.note(format!("at {items}"));
        if self.stop_at.is_some_and(|at| items >= at) {
            self.interrupter.stop(None);
        }
    }

    fn end_split(&mut self) {
        self.note("end".to_owned());
    }

    fn end(&mut self) {}

    fn log_event_training(&mut self, _: String) {}
}

impl EvaluationProgressLogger for Script {
    fn start_global_progress(&mut self, _: usize) {}

    fn start_test(&mut self, _: &str, _: usize) {}

    fn update_test_progress(&mut self, _: usize) {}

    fn end_test(&mut self) {}

    fn end_global_progress(&mut self) {}

    fn log_event_evaluation(&mut self, _: String) {}
}

#[test]
fn a_renderer_of_burn_is_told_of_all_and_can_stop() {
    let splits = common::intents();
    let recipe = Recipe::from_toml(
        "epochs = 3\nbatch_size = 32\nencoder = { kind = \"ngram\", dim = 8, min_count = 1 }",
    )
    .unwrap();
    let fit = |script: &Script| {
        let stop = Arc::new(AtomicBool::new(false));
        let interrupter = script.interrupter.clone();
        let dashboard = Dashboard::new(Box::new(script.clone()), interrupter, stop.clone());
        let options = TrainOptions::new().with_progress(dashboard).with_stop_flag(stop.clone());
        (train(&recipe, &splits, &Device::flex(), &options), stop)
    };
    let script = Script::default();
    let (trained, stop) = fit(&script);
    let (history, told) = (trained.unwrap().history, script.told.lock().unwrap().clone());
    assert!(!stop.load(Ordering::Relaxed));
    let batches = 3 * splits.train.len().div_ceil(32);
    assert_eq!(told[0], format!("start Some(\"training\") Some({batches})"));
    assert!(told.contains(&format!("at {batches}")));
    assert_eq!(told.last().unwrap(), "end");
    for metric in ["metric loss", "metric dev macro_f1"] {
        assert_eq!(told.iter().filter(|line| *line == metric).count(), 1, "{metric}: {told:?}");
    }
    let scores: Vec<&String> = told.iter().filter(|line| line.starts_with("dev ")).collect();
    let expected: Vec<String> = history.iter().map(|e| format!("dev {:.4}", e.dev)).collect();
    assert_eq!(scores, expected.iter().collect::<Vec<_>>());
    for epoch in &history {
        assert!(told.contains(&format!("train {:.4}", epoch.loss)), "{told:?}");
    }

    let script = Script { stop_at: Some(batches / 2), ..Script::default() };
    let (stopped, stop) = fit(&script);
    assert!(matches!(stopped, Err(Error::Interrupted { .. })));
    assert!(stop.load(Ordering::Relaxed));
    // In a terminal the dashboard would open.
    if !std::io::stdout().is_terminal() {
        assert!(Dashboard::terminal(stop).is_none());
    }
}
