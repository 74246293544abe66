//! Who runs a trial, and until when that may be believed.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::record::{key, now};
use crate::{Op, Scope, Storage, TrialRecord};

/// The running trials of one study in this process.
type Held = Arc<Mutex<Vec<u64>>>;

/// Renews the leases of this process's running trials from a thread of its own.
#[derive(Debug)]
pub(crate) struct Keeper {
    held: Held,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(super) fn start(storage: Arc<dyn Storage>, lease: Duration) -> Self {
        let held = Held::default();
        let (stop, stopped) = channel();
        let mine = held.clone();
        let renew = move || renew(&*storage, &mine, lease, &stopped);
        let thread = std::thread::Builder::new().name("trial leases".to_owned()).spawn(renew);
        if let Err(error) = &thread {
            tracing::warn!("leases are not renewed: {error}");
        }
        Self { held, stop: Some(stop), thread: thread.ok() }
    }

    pub(super) fn hold(&self, trial: u64) -> Lease {
        lock(&self.held).push(trial);
        Lease { trial, held: self.held.clone() }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has nothing left to say here.
            let _ = thread.join();
        }
    }
}

fn lock(held: &Held) -> std::sync::MutexGuard<'_, Vec<u64>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn renew(storage: &dyn Storage, held: &Held, lease: Duration, stopped: &Receiver<()>) {
    while stopped.recv_timeout(lease / 3) == Err(RecvTimeoutError::Timeout) {
        let trials = lock(held).clone();
        for trial in trials {
            // One that has just ended refuses; a storage out of reach is tried again.
            if let Err(error) = storage.commit(&[note(trial, lease)]) {
                tracing::debug!("the lease of trial {trial} is not renewed: {error}");
            }
        }
    }
}

fn note(trial: u64, lease: Duration) -> Op {
    let (scope, key) = (Scope::System, key::LEASE.to_owned());
    Op::SetTrialAttr { trial, scope, key, value: granted(lease) }
}

/// A running trial is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    trial: u64,
    held: Held,
}

impl Drop for Lease {
    fn drop(&mut self) {
        lock(&self.held).retain(|&t| t != self.trial);
    }
}

/// A lease from now on, for this process.
pub(super) fn granted(lease: Duration) -> Json {
    let until = now().as_second().saturating_add(lease.as_secs().max(1) as i64);
    let mut granted = json!({ "until": until });
    if let Some(process) = process(std::process::id()) {
        granted["process"] = process.into();
    }
    granted
}

/// Whether the one who ran the trial is gone: its lease is over, or it was a process of
/// this machine that does not live.
pub(super) fn is_lost(trial: &TrialRecord, now: Timestamp) -> bool {
    let Some(lease) = trial.system_attrs.get(key::LEASE) else {
        // Another program's trial: no one knows.
        return false;
    };
    if lease.get("until").and_then(Json::as_i64).is_some_and(|until| until < now.as_second()) {
        return true;
    }
    let name = lease.get("process").and_then(Json::as_str).unwrap_or_default();
    let mut parts = name.split('/');
    let (boot, pid) = (parts.next(), parts.next().and_then(|p| p.parse().ok()));
    let here = process(std::process::id());
    let same_boot =
        here.as_deref().and_then(|h| h.split('/').next()).is_some_and(|b| Some(b) == boot);
    same_boot && pid.is_some_and(|pid| process(pid).as_deref() != Some(name))
}

/// A name that no other process has, now or later: the boot, the process id in its
/// namespace and its start, where the system tells.
fn process(pid: u32) -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces; the state follows it, the start is the
    // 20th field from there. A zombie does not live.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    let start = fields.nth(18)?;
    Some(format!("{}@{}/{pid}/{start}", boot.trim(), space.display()))
}
