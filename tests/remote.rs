//! Training on a device that another process serves, also when that process is killed.
#![cfg(feature = "remote")]

mod common;
#[path = "common/remote.rs"]
mod remote;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use counterweight::Error;
use counterweight::core::Progress;
use counterweight::prelude::*;
use remote::Server;

#[test]
#[ignore = "the other process of the tests here"]
fn serve() {
    remote::serve();
}

/// Without dropout, which every device draws from its own generator.
fn recipe(kind: &str) -> Recipe {
    let mut recipe = Recipe { dropout: 0.0, ..common::small(kind) };
    if let EncoderConfig::Transformer(config) = &mut recipe.encoder {
        (config.hidden_dropout_prob, config.attention_probs_dropout_prob) = (0.0, 0.0);
    }
    recipe
}

fn apart(a: &Trained, b: &Trained, splits: &TextSplits) -> f64 {
    assert_eq!(a.history.len(), b.history.len());
    let losses = a.history.iter().zip(&b.history).map(|(a, b)| (a.loss - b.loss).abs());
    let [p, q] = [a, b].map(|t| t.model.raw_probabilities(splits.test.texts()).unwrap());
    losses.chain((&p - &q).iter().map(|d| d.abs())).fold(0.0, f64::max)
}

#[test]
fn another_process_trains_the_same_model() {
    let server = Server::start();
    let (here, there) = (Device::flex(), server.device());
    let splits = common::intents();
    for kind in ["ngram", "transformer"] {
        let run = |device: &Device, more: Vec<Device>| {
            let options = TrainOptions::new().with_devices(more);
            train(&recipe(kind), &splits, device, &options).unwrap()
        };
        let alone = run(&here, Vec::new());
        for (first, more) in [(&there, Vec::new()), (&here, vec![there.clone()])] {
            let apart = apart(&alone, &run(first, more), &splits);
            assert!(apart <= 1e-4, "{kind} with {first:?} first: {apart}");
        }
    }
}

/// Counts reports, and kills a server at one of them.
#[derive(Clone, Default)]
struct Reports {
    seen: Arc<AtomicU64>,
    kill: Option<(u64, Arc<Server>)>,
}

impl Progress for Reports {
    fn start(&self, _stage: &str, _total: u64) {}

    fn update(&self, _done: u64, _message: &str) {
        let now = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some((at, server)) = &self.kill
            && *at == now
        {
            server.kill();
        }
    }

    fn finish(&self, _message: &str) {}
}

#[test]
fn a_killed_process_ends_training_with_an_error_and_its_checkpoint_resumes() {
    let splits = common::intents();
    let here = Device::flex();
    for kind in ["ngram", "transformer"] {
        let recipe = recipe(kind);
        let all = Reports::default();
        let whole = TrainOptions::new().with_progress(all.clone());
        let whole = train(&recipe, &splits, &here, &whole).unwrap();
        for helps in [true, false] {
            // Two reports in an epoch: within the second, and at its end before it is saved.
            for report in [3, 4] {
                let server = Server::start();
                let there = server.device();
                let root = tempfile::tempdir().unwrap();
                let options = TrainOptions::new().with_checkpoint(root.path().join("checkpoint"));
                let (first, more) = if helps { (&here, vec![there]) } else { (&there, Vec::new()) };
                let kill = Some((report, Arc::new(server)));
                let cut = Reports { kill, ..Reports::default() };
                let lost = options.clone().with_devices(more).with_progress(cut.clone());
                let error = train(&recipe, &splits, first, &lost).unwrap_err();
                assert!(matches!(error, Error::Device { .. }), "{error}");
                assert!(cut.seen.load(Ordering::Relaxed) >= report, "not by the kill: {error}");
                let rest = Reports::default();
                let options = options.with_resume(true).with_progress(rest.clone());
                let resumed = train(&recipe, &splits, &here, &options).unwrap();
                let [rest, all] = [&rest, &all].map(|r| r.seen.load(Ordering::Relaxed));
                assert!(rest < all, "{rest} of {all}: from the beginning");
                let apart = apart(&whole, &resumed, &splits);
                assert!(apart <= 1e-4, "{kind} cut at report {report}: {apart}");
            }
        }
    }
}

#[test]
fn servers_that_are_not_there_are_named() {
    let server = Server::start();
    assert_eq!(device::named(&format!("{}#0", server.name)).unwrap(), server.device());
    for (name, reason) in [
        (format!("{}#1", server.name), "hosts only 1 device"),
        (format!("{}#one", server.name), "a number from 0"),
        ("remote:ws://127.0.0.1:1".to_owned(), "cannot be reached"),
        ("remote:".to_owned(), "an address"),
        ("remotely".to_owned(), "an address"),
    ] {
        let error = device::named(&name).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains(&format!("{name:?}")), "{error}");
    }
}
