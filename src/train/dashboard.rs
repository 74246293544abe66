//! Training in burn's dashboard.

use std::collections::BTreeSet;
use std::fmt;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use burn::train::Interrupter;
use burn::train::metric::{
    MetricDefinition, MetricEntry, MetricId, NumericAttributes, NumericEntry, SerializedEntry,
};
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{MetricState, MetricsRenderer};
use counterweight_core::Progress;

/// Shows progress, losses and scores in a renderer of burn: its terminal dashboard with curves, or
/// one of your own.
///
/// The dashboard leaves the terminal when the last [`TrainOptions`](crate::TrainOptions) with it is
/// dropped. Its key `q` offers to stop, which is the stop flag's interruption, or to kill, which is a
/// panic of burn's.
pub struct Dashboard {
    shown: Mutex<Shown>,
    interrupter: Interrupter,
    stop: Arc<AtomicBool>,
}

struct Shown {
    renderer: Box<dyn MetricsRenderer>,
    known: BTreeSet<String>,
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard").finish_non_exhaustive()
    }
}

impl Dashboard {
    /// burn's dashboard, which sets the flag when it is asked to stop; nothing where standard output
    /// is not a terminal.
    pub fn terminal(stop: Arc<AtomicBool>) -> Option<Self> {
        std::io::stdout().is_terminal().then(|| {
            let interrupter = Interrupter::new();
            let renderer = TuiMetricsRendererWrapper::new(interrupter.clone(), None);
            Self::new(Box::new(renderer), interrupter, stop)
        })
    }

    /// Any renderer. The flag is set when the interrupter is told to stop.
    pub fn new(
        renderer: Box<dyn MetricsRenderer>,
        interrupter: Interrupter,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self { shown: Mutex::new(Shown { renderer, known: BTreeSet::new() }), interrupter, stop }
    }

    fn with(&self, show: impl FnOnce(&mut Shown)) {
        show(&mut self.shown.lock().unwrap_or_else(PoisonError::into_inner));
        if self.interrupter.should_stop() {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Progress for Dashboard {
    fn start(&self, stage: &str, total: u64) {
        self.with(|Shown { renderer, .. }| {
            let total = usize::try_from(total).unwrap_or(usize::MAX);
            renderer.start(0, 0, Some(total), Some(stage));
            renderer.start_split("train", total);
        });
    }

    fn update(&self, done: u64, _message: &str) {
        self.with(|Shown { renderer, .. }| {
            renderer.update_split(usize::try_from(done).unwrap_or(usize::MAX));
        });
    }

    fn finish(&self, _message: &str) {
        self.with(|Shown { renderer, .. }| {
            renderer.end_split();
            renderer.end();
        });
    }

    fn metric(&self, part: &str, name: &str, value: f64) {
        self.with(|Shown { renderer, known }| {
            let name = Arc::new(name.to_owned());
            let metric_id = MetricId::new(name.clone());
            if known.insert(name.to_string()) {
                let higher_is_better = part != "train";
                renderer.register_metric(MetricDefinition {
                    metric_id: metric_id.clone(),
                    name,
                    description: None,
                    attributes: NumericAttributes { unit: None, higher_is_better }.into(),
                });
            }
            let entry = SerializedEntry::new(format!("{value:.4}"), value.to_string());
            let entry = MetricEntry::new(metric_id, entry);
            let state = MetricState::Numeric(entry, Some(NumericEntry::Value(value)));
            if part == "train" {
                renderer.update_train(state)
            } else {
                renderer.update_valid(state)
            }
        });
    }
}
